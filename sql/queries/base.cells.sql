-- $1 int[]: numbers of counters
-- Plan: a sort, on disk where there is much
select counter, source, key, label, start, negative, sum(value)::bigint as value
from base_cells
where counter = any($1)
group by 1, 2, 3, 4, 5, 6
order by 1, 2, 3, 4, 5, 6
