-- How far each partition is stored, and in which Kafka cluster.
-- $1 text topic
select partition, next_offset, cluster from sink_offsets where topic = $1
