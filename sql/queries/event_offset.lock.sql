-- Where the partition goes on; locks it against another worker until the transaction ends.
-- $1 text topic, $2 int partition
select next_offset from sink_offsets where topic = $1 and partition = $2 for update
