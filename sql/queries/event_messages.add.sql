-- $1 text topic, $2 int partition, $3 bigint first offset, $4 bigint latest, $5 bytea run
insert into event_messages (topic, partition, first_offset, latest, run)
values ($1, $2, $3, $4, $5)
