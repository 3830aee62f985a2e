-- $1 text topic
select partition, run from event_messages where topic = $1 order by partition, first_offset
