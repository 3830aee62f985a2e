-- $1 text topic, $2 int partition, $3 bigint next offset, $4 bigint rows stored just now
update sink_offsets set next_offset = $3, stored = stored + $4 where topic = $1 and partition = $2
