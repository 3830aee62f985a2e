-- The row of one record is asked for by its place in Kafka: GET /events/{position}.
-- Rows come in the order of their offsets, so a few blocks are looked at.
create index event_offset on event using brin (kafka_offset) with (pages_per_range = 32);
