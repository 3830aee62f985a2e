-- What became of the rows that are gone, by partition. $1, $2 int: counters of bots and duplicates
select partition, sum(rows)::bigint as rows,
    (select coalesce(sum(value), 0) from base_cells where source = partition and counter = $1)::bigint
        as bots,
    (select coalesce(sum(value), 0) from base_cells where source = partition and counter = $2)::bigint
        as duplicates
from forgotten_months
group by 1
