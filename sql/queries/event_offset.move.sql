-- $1 text topic, $2 int partition, $3 text cluster, $4 bigint next offset,
-- $5 bigint rows stored just now, $6 bigint offsets that Kafka lost before they were stored,
-- $7 bigint void fillers below the next offset
update sink_offsets set cluster = $3, next_offset = $4, stored = stored + $5,
    lost = lost + $6, void = $7
where topic = $1 and partition = $2
