-- All hourly counts, from event and what forgotten months added up to, into an empty event_summary
-- $1 text[]: as $4 of compare.count
-- Plan: one scan of event for each half of human_event, one hash of the hours
insert into event_summary (url, datehour, type, count, lastupdate)
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
