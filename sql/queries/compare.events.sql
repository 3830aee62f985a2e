-- Events that counters count, for one that only the fold can tell: no order.
-- Behind partition and offset the columns are in the order of the fields of
-- app.events.event.Event.
-- Plan: one scan of event for each half of human_event, by a cursor
select kafka_partition, kafka_offset, type, url, datetime, user_id, session_id, ip, uuid,
    received_at, ad_id, app_name, product_id, category, value, message_id, referrer, user_agent,
    properties
from human_event
