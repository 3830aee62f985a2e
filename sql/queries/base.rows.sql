-- How many rows of forgotten months there are, by partition, and the Kafka time of the last one.
-- $1 timestamptz, $2, $3 bigint[]: as in base.events
select kafka_partition as partition, count(*) as rows,
    max(coalesce(kafka_time, received_at)) as newest
from event
where datetime < $1 and kafka_offset >= ($2::bigint[])[kafka_partition + 1]
    and kafka_offset < ($3::bigint[])[kafka_partition + 1]
group by 1
