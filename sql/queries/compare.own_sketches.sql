-- Sketches of distinct values of counters of a counters.toml, those of a window one after the other.
-- Plan: a sort, on disk where there is much
select counter, key, start, label, side, sketch
from side_own_sketches
order by counter, key, start, label
