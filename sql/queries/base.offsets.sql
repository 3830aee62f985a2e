-- $1 timestamptz, $2, $3 bigint[]: as in base.events, where Kafka has records still
-- Plan: a row for 65,536 offsets, so that none is large
insert into base_offsets (partition, offsets)
select kafka_partition, range_agg(int8range(kafka_offset, kafka_offset + 1))
from event
where datetime < $1 and kafka_offset >= ($2::bigint[])[kafka_partition + 1]
    and kafka_offset < ($3::bigint[])[kafka_partition + 1]
group by kafka_partition, kafka_offset >> 16
