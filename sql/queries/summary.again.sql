-- All hourly counts, from event, into an empty event_summary
-- $1 text[]: as $4 of compare.count
-- Plan: one scan of event for each half of human_event, one hash of the hours
insert into event_summary (url, datehour, type, count, lastupdate)
select url, date_trunc('hour', datetime, 'UTC'),
    case when $1::text[] is null or type = any($1) then type else '__other__' end,
    count(*), now()
from human_event where url is not null
group by 1, 2, 3
