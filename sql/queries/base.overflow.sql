-- A counter of which a sum has no room for all that was added: what it left out depends on the order.
-- $1 int[]: numbers of counters that sum
select counter from (
    select * from base_new union all select * from base_kept union all select * from base_cells
) every
where counter = any($1)
group by counter, source, key, label, start, negative
having sum(value) > 9223372036854775807
limit 1
