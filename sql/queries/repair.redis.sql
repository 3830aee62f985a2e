-- Counts in Redis that are not what event says. old: the text there, empty where it is too low.
-- $1 bool: rows are missing in event; nothing is lowered
select url, type, coalesce(high, 0) as new,
    case when r.count is null or r.count > coalesce(high, 0) then coalesce(r.text, '') else '' end
        as old
from (select url, type, sum(high)::bigint as high from counted group by 1, 2) c
    full join (select url, type, max(count) as count, min(text) as text
               from side_redis group by 1, 2) r using (url, type)
where (r.count is distinct from coalesce(high, 0))
    and not ($1 and r.count > coalesce(high, 0))
order by url, type
