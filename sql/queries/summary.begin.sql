-- All rows are about to be written: -1 until the last one is.
-- $1 int partition of the topic counts
insert into summary_positions (partition, position) values ($1, -1) on conflict do nothing
