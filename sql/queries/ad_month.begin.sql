-- All rows are about to be written: -1 until the last one is.
-- $1 text figure, $2 int partition of its topic
insert into ad_month_positions (figure, partition, position) values ($1, $2, -1)
on conflict do nothing
