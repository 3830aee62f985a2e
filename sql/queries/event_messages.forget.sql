-- What nothing can be a duplicate of any more. $1 text topic, $2 int partition, $3 bigint latest
delete from event_messages where topic = $1 and partition = $2 and latest < $3
