-- Whether the event of a record counts: no bot's, no duplicate.
-- $1 int partition, $2 bigint offset, $3 timestamptz event time
-- Plan: event time and partition go into the view, which then ranks the page views of one moment
select exists (
    select from human_event
    where kafka_partition = $1 and kafka_offset = $2 and datetime = $3
)
