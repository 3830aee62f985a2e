-- Events of one partition of the topic, from one offset up to another, as they were counted.
-- $1 int partition, $2, $3 bigint offsets
-- Behind offset, Kafka time and verdict the columns are in the order of the fields of
-- app.events.event.Event.
-- Plan: a scan of what the BRIN index on offsets does not rule out, and a sort on disk
select kafka_offset, coalesce(kafka_time, received_at), duplicate is true, type, url, datetime, user_id, session_id, ip, uuid, received_at, ad_id,
    app_name, product_id, category, value, message_id, referrer, user_agent, properties
from event
where kafka_partition = $1 and kafka_offset >= $2 and kafka_offset < $3
order by kafka_offset
