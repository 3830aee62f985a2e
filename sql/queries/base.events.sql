-- Events that counters count, of forgotten months, or of the others: no order.
-- $1 timestamptz: where these months end. $2, $3 bigint[]: offsets from and below, by partition
-- from 0 on. $4 bool: the forgotten ones. The columns are those of compare.events.
-- Plan: one scan of these months for each half of human_event, by a cursor
select kafka_partition, kafka_offset, type, url, datetime, user_id, session_id, ip, uuid,
    received_at, ad_id, app_name, product_id, category, value, message_id, referrer, user_agent,
    properties
from human_event
where ($4::bool and datetime < $1 or not $4::bool and datetime >= $1)
    and kafka_offset >= ($2::bigint[])[kafka_partition + 1]
    and kafka_offset < ($3::bigint[])[kafka_partition + 1]
