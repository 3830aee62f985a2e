select count(*) as hours, count(distinct url) as urls, coalesce(sum(low), 0)::bigint as events
from counted
