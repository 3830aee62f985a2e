-- All hourly counts, from event and what forgotten months added up to. Count workers may write
-- meanwhile: no count is lowered, and the order is theirs, so that no two wait for each other.
-- $1 text[]: as $4 of compare.count
-- Plan: one scan of event for each half of human_event, one hash of the hours, a sort
insert into event_summary as kept (url, datehour, type, count, lastupdate)
select url, hour, type, sum(count)::bigint, now()
from (
    select url, date_trunc('hour', datetime, 'UTC') as hour,
        case when $1::text[] is null or type = any($1) then type else '__other__' end as type,
        count(*) as count
    from human_event where url is not null
    group by 1, 2, 3
    union all
    select key, to_timestamp(start), label, value from base_cells where counter = 2
) every
group by 1, 2, 3
order by 1, 2, 3
on conflict (url, datehour, type) do update
    set count = excluded.count, lastupdate = excluded.lastupdate
    where kept.count < excluded.count
