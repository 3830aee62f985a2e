-- Of each partition: what the store says that it stored, what is there, and of a range of offsets
-- what is there and what was rejected.
-- $1 text topic, $2, $3 bigint[]: the range by partition, from 0 on
with found as (
    select kafka_partition as partition, count(*) as rows,
        count(*) filter (where kafka_offset >= ($2::bigint[])[kafka_partition + 1]
            and kafka_offset < ($3::bigint[])[kafka_partition + 1]) as ranged
    from event group by 1
), gone as (  -- with forgotten months
    select partition, sum(rows)::bigint as rows,
        (select coalesce(sum(upper(r) - lower(r)), 0)::bigint
            from base_offsets o, unnest(o.offsets * int8multirange(int8range(
                ($2::bigint[])[m.partition + 1],
                greatest(($2::bigint[])[m.partition + 1], ($3::bigint[])[m.partition + 1])))) r
            where o.partition = m.partition) as ranged
    from forgotten_months m group by 1
), refused as (
    select kafka_partition as partition, count(distinct kafka_offset) as ranged
    from side_rejected
    where kafka_offset >= ($2::bigint[])[kafka_partition + 1]
        and kafka_offset < ($3::bigint[])[kafka_partition + 1]
    group by 1
)
select partition, coalesce(stored, 0) as stored, coalesce(f.rows, 0) + coalesce(g.rows, 0) as rows,
    coalesce(f.ranged, 0) + coalesce(g.ranged, 0) as ranged, coalesce(r.ranged, 0) as rejected
from (select partition, stored from sink_offsets where topic = $1) o
    full join found f using (partition)
    left join gone g using (partition)
    left join refused r using (partition)
order by partition
