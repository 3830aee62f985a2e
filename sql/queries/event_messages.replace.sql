-- Rows that one to be added has all of. $1 text topic, $2 int partition, $3 bigint[] first offsets
delete from event_messages where topic = $1 and partition = $2 and first_offset = any($3)
