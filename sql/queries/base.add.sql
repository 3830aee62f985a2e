insert into base_cells (counter, source, key, label, start, negative, value)
select counter, source, key, label, start, negative, sum(value)::bigint
from base_new
group by 1, 2, 3, 4, 5, 6
