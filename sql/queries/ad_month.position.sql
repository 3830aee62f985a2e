-- $1 text figure, $2 int partition of its topic
select position from ad_month_positions where figure = $1 and partition = $2
