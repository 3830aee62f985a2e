-- The row of one record of events.
-- $1 int partition, $2 bigint offset, $3, $4 timestamptz: the event time lies in [from, to]
-- The columns are in the order of the fields of app.events.event.Event, behind the verdict.
-- Plan: the event time names the month, and brin the blocks; without it brin on the offsets does
select duplicate is true as duplicate,
    type, url, datetime, user_id, session_id, ip, uuid, received_at, ad_id,
    app_name, product_id, category, value, message_id, referrer, user_agent, properties
from event
where kafka_partition = $1 and kafka_offset = $2 and datetime between $3 and $4
