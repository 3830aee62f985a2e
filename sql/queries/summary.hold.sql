-- The position that is there; whoever empties the tables waits until the rows are written.
-- $1 int partition of the topic counts
select position from summary_positions where partition = $1 for update
