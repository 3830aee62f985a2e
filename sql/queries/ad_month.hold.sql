-- The position that is there; whoever empties the tables waits until the rows are written.
-- $1 text figure, $2 int partition of its topic
select position from ad_month_positions where figure = $1 and partition = $2 for update
