-- Whether rows of forgotten months came in meanwhile. $1 timestamptz, $2 bigint[]: as in base.events
select exists (
    select from event
    where datetime < $1 and kafka_offset >= coalesce(($2::bigint[])[kafka_partition + 1], 0)
)
