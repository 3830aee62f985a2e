-- All hourly counts, from event, into an empty event_summary
-- Plan: one scan of event for each half of human_event, one hash of the hours
insert into event_summary (url, datehour, type, count, lastupdate)
select url, date_trunc('hour', datetime, 'UTC'), type, count(*), now()
from human_event where url is not null
group by 1, 2, 3
