-- Who sent it again, where it came from, with what. Columns without a default: no row is rewritten.
alter table event
    add column message_id text collate "C",  -- the sender's name for the event, kept when sent again
    add column referrer text,
    add column user_agent text;

create or replace view human_event as
select uuid, type, ip, url, datetime, received_at, user_id, session_id, ad_id, app_name,
    product_id, category, value, properties, kafka_partition, kafka_offset,
    message_id, referrer, user_agent
from event
where type not in ('page_view', 'PageView', 'VIEW')
    or user_id is null
    or datetime = received_at
    or received_at - datetime >= interval '1 day'
union all
select uuid, type, ip, url, datetime, received_at, user_id, session_id, ad_id, app_name,
    product_id, category, value, properties, kafka_partition, kafka_offset,
    message_id, referrer, user_agent
from (
    select *, row_number() over (
        partition by datetime, user_id collate "C", kafka_partition order by kafka_offset
    ) as place
    from event
    where type in ('page_view', 'PageView', 'VIEW')
        and user_id is not null
        and datetime <> received_at
        and received_at - datetime < interval '1 day'
) judged
where place <= coalesce((select bot_limit from bot_rule), 2147483647);
