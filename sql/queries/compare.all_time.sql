-- Urls of which Redis, or the tables' counter of all time, say what event does not.
-- $1 bool: there is a Redis. $2 bool: the tables count all time in rows of its own
select url, type, coalesce(low, 0) as low, coalesce(high, 0) as high,
    case when $2 then coalesce(a.count, 0) end as tables, coalesce(r.text, '0') as redis
from (select url, type, sum(low)::bigint as low, sum(high)::bigint as high
      from counted group by 1, 2) c
    full join side_all_time a using (url, type)
    full join (select url, type, min(count) as count, min(text) as text
               from side_redis group by 1, 2) r using (url, type)
where ($2 and not coalesce(a.count, 0) between coalesce(low, 0) and coalesce(high, 0))
    or ($1 and (r.text is not null and r.count is null
        or not coalesce(r.count, 0) between coalesce(low, 0) and coalesce(high, 0)))
order by url, type
