-- What is gone of event, of counters of a counters.toml. $1 int[]: their numbers
insert into side_own_event (counter, key, start, label, low, up, down)
select counter, key, start, label, sum(case when negative then -value else value end), 0, 0
from base_cells
where counter = any($1)
group by 1, 2, 3, 4
