-- How many of some offsets of a partition are in event, or were rejected.
-- $1 int partition, $2, $3 bigint[]: begins and ends of ranges, in step
-- Plan: a scan of event; asked for only where Kafka has lost records
with ranges as (select * from unnest($2::bigint[], $3::bigint[]) r (low, high))
select
    (select count(*) from event where kafka_partition = $1 and exists (
        select from ranges where kafka_offset >= low and kafka_offset < high))
    + (select count(distinct kafka_offset) from side_rejected where kafka_partition = $1 and exists (
        select from ranges where kafka_offset >= low and kafka_offset < high))
