-- Windows of counters of a counters.toml of which the tables say what event does not.
-- Plan: both sides hashed, on disk where there is much
with stored as (
    select counter, key, start, label, sum(low) - sum(down) as low, sum(low) + sum(up) as high
    from side_own_event group by 1, 2, 3, 4
), counted as (
    select counter, key, start, label, sum(value) as value
    from side_own_tables group by 1, 2, 3, 4
)
select counter, key, start, label, coalesce(low, 0) as low, coalesce(high, 0) as high,
    coalesce(value, 0) as tables
from stored full join counted using (counter, key, start, label)
where not coalesce(value, 0) between coalesce(low, 0) and coalesce(high, 0)
order by counter, key, start, label
