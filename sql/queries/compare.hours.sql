-- Hours in which the tables or event_summary say what event does not.
-- $1 timestamptz: the tables keep the hours from here on
select url, hour, type, coalesce(low, 0) as low, coalesce(high, 0) as high,
    case when hour >= $1 then coalesce(t.count, 0) end as tables, coalesce(s.count, 0) as summary
from counted
    full join side_tables t using (url, hour, type)
    full join side_summary s using (url, hour, type)
where (hour >= $1 and not coalesce(t.count, 0) between coalesce(low, 0) and coalesce(high, 0))
    or not coalesce(s.count, 0) between coalesce(low, 0) and coalesce(high, 0)
order by url, hour, type
