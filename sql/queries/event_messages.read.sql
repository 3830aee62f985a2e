-- $1 text topic, $2 int partition
select run from event_messages where topic = $1 and partition = $2 order by first_offset
