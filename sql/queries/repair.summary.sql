-- Rows of event_summary that are not what event says, as they were copied and as they must be.
-- $1 bool: months are missing in event; their rows are left alone
insert into repair (url, hour, type, old, new)
select url, hour, type, coalesce(s.count, 0), coalesce(high, 0)
from counted full join side_summary s using (url, hour, type)
where coalesce(s.count, 0) <> coalesce(high, 0)
    and not ($1 and high is null and to_regclass(
        'event_' || to_char(hour at time zone 'UTC', 'YYYY_MM')) is null)
order by url, hour, type
