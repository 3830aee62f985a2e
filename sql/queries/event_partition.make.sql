-- $1 timestamptz[]: moments that rows of event will have
select make_event_partitions($1::timestamptz[])
