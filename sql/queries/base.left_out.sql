-- Page views left out as bots' (counter $5) and duplicates ($6) of forgotten months, by type.
-- $1 timestamptz, $2, $3 bigint[]: as in base.events. $4 text[]: as in compare.count
insert into base_new
with human as (
    select kafka_partition as source, count(*) as n,
        case when $4::text[] is null or type = any($4) then type else '__other__' end as type
    from human_event
    where datetime < $1 and kafka_offset >= ($2::bigint[])[kafka_partition + 1]
        and kafka_offset < ($3::bigint[])[kafka_partition + 1]
    group by 1, 3
), every as (
    select kafka_partition as source, count(*) as n, duplicate is true as again,
        case when $4::text[] is null or type = any($4) then type else '__other__' end as type
    from event
    where datetime < $1 and kafka_offset >= ($2::bigint[])[kafka_partition + 1]
        and kafka_offset < ($3::bigint[])[kafka_partition + 1]
    group by 1, 3, 4
)
select $5::int, source, '', type, 0, false, e.n - coalesce(h.n, 0)
from every e left join human h using (source, type)
where not again and e.n > coalesce(h.n, 0)
union all
select $6::int, source, '', type, 0, false, n from every where again
