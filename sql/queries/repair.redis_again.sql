-- What was lowered in Redis, as event says by now
select url, type, sum(high)::bigint as new, '' as old
from (select distinct url, type from lowered) l join counted using (url, type)
group by 1, 2 order by 1, 2
