-- $1 text topic, $2 int partition, $3 text cluster, $4 bigint next offset,
-- $5 bigint rows stored just now
update sink_offsets set cluster = $3, next_offset = $4, stored = stored + $5
where topic = $1 and partition = $2
