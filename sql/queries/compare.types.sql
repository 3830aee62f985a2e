-- Types of which the tables say what event and human_event do not: received = counted + bots +
-- duplicates.
-- $1 bigint[], $2 text[]: as $3 and $4 of compare.count
with human as (
    select case when $2::text[] is null or type = any($2) then type else '__other__' end as type, count(*) as high,
        count(*) filter (where kafka_offset < ($1::bigint[])[kafka_partition + 1]) as low
    from human_event group by 1
), every as (
    select case when $2::text[] is null or type = any($2) then type else '__other__' end as type, duplicate is true as again, count(*) as high,
        count(*) filter (where kafka_offset < ($1::bigint[])[kafka_partition + 1]) as low
    from event group by 1, 2
), stored as (
    select type, 'counted' as what, low, high from human
    union all
    select type, 'bots', e.low - coalesce(h.low, 0), e.high - coalesce(h.high, 0)
    from every e left join human h using (type) where not again
    union all
    select type, 'duplicates', low, high from every where again
    union all  -- what forgotten months added up to
    select label, case counter when 4 then 'counted' when 23 then 'bots' else 'duplicates' end,
        value, value
    from base_cells where counter in (4, 23, 24)
), summed as (
    select type, what, sum(low)::bigint as low, sum(high)::bigint as high from stored group by 1, 2
)
select type, what, coalesce(low, 0) as low, coalesce(high, 0) as high,
    coalesce(t.count, 0) as tables
from summed full join side_types t using (type, what)
where not coalesce(t.count, 0) between coalesce(low, 0) and coalesce(high, 0)
order by type, what desc
