-- How many of some offsets of a partition are in event, or were rejected. Those of
-- forgotten months count, too.
-- $1 int partition, $2, $3 bigint[]: begins and ends of ranges, in step
-- Plan: a scan of event; asked for only where Kafka has lost records
with ranges as (select * from unnest($2::bigint[], $3::bigint[]) r (low, high))
select
    (select count(*) from event where kafka_partition = $1 and exists (
        select from ranges where kafka_offset >= low and kafka_offset < high))
    + (select coalesce(sum(upper(r) - lower(r)), 0)::bigint
        from base_offsets, unnest(offsets * (select range_agg(int8range(low, high)) from ranges)) r
        where partition = $1)
    + (select count(distinct kafka_offset) from side_rejected where kafka_partition = $1 and exists (
        select from ranges where kafka_offset >= low and kafka_offset < high))
