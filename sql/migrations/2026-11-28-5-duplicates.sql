-- Events that were sent before, as the store judged them when it copied them, see
-- docs/internals/decisions/duplicates.md. Columns without a default: no row is rewritten.
alter table event
    add column kafka_time timestamptz,  -- of the record; null: received_at, or there is no message_id
    add column duplicate boolean;       -- true, or null

-- What the store remembers of message_ids: runs of hashes, in the transaction that stores the events.
create table event_messages (
    topic text not null,
    partition integer not null,
    first_offset bigint not null,
    latest bigint not null,             -- ms since 1970: Kafka time of the newest record up to here
    run bytea not null,                 -- app.counting.duplicates.MessageRun
    primary key (topic, partition, first_offset)
);
alter table event_messages alter column run set storage external;  -- hashes cannot be compressed

-- What the verdicts in event depend on; one row, made by the first start of the store.
create table duplicate_rule (
    only_row boolean primary key default true check (only_row),
    hours integer not null,
    by_uuid boolean not null
);

create or replace view human_event as
select uuid, type, ip, url, datetime, received_at, user_id, session_id, ad_id, app_name,
    product_id, category, value, properties, kafka_partition, kafka_offset,
    message_id, referrer, user_agent
from event
where duplicate is not true
    and (type not in ('page_view', 'PageView', 'VIEW')
        or user_id is null
        or datetime = received_at
        or received_at - datetime >= interval '1 day')
union all
select uuid, type, ip, url, datetime, received_at, user_id, session_id, ad_id, app_name,
    product_id, category, value, properties, kafka_partition, kafka_offset,
    message_id, referrer, user_agent
from (
    select *, row_number() over (
        partition by datetime, user_id collate "C", kafka_partition order by kafka_offset
    ) as place
    from event
    where duplicate is not true
        and type in ('page_view', 'PageView', 'VIEW')
        and user_id is not null
        and datetime <> received_at
        and received_at - datetime < interval '1 day'
) judged
where place <= coalesce((select bot_limit from bot_rule), 2147483647);
