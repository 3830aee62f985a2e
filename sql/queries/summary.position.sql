-- $1 int partition of the topic counts
select position from summary_positions where partition = $1
