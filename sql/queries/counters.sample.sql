-- The newest events of the last day: $1 at most, in the columns of compare.events.
-- Plan: BRIN on datetime, and a sort of one day
select kafka_partition, kafka_offset, type, url, datetime, user_id, session_id, ip, uuid,
    received_at, ad_id, app_name, product_id, category, value, message_id, referrer, user_agent,
    properties
from human_event
where datetime > now() - interval '1 day' and datetime <= now()
order by datetime desc
limit $1
