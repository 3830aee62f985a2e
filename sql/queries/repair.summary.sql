-- Rows of event_summary that are not what event says, as they were copied and as they must be.
-- $1 bool: rows are missing in event, and nothing says of which month; nothing is lowered
insert into repair (url, hour, type, old, new)
select url, hour, type, coalesce(s.count, 0), coalesce(high, 0)
from counted full join side_summary s using (url, hour, type)
where coalesce(s.count, 0) <> coalesce(high, 0)
    and not ($1 and coalesce(s.count, 0) > coalesce(high, 0))
order by url, hour, type
