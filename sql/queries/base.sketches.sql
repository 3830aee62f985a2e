-- $1 int[]: numbers of counters, and of metrics of the table `uniques`
select row, sketch from base_sketches where get_byte(row, 0) = any($1)
