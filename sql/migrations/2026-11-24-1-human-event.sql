-- How many page views of one user with one explicit timestamp count; null: all of them.
-- One row, kept equal to EVENT_COUNTER_BOT_LIMIT by each start, see queries/bot_rule.keep.
create table bot_rule (
    only_row boolean primary key default true check (only_row),
    bot_limit integer
);
insert into bot_rule (bot_limit) values (10);

-- The events that count: all but what the bot rule of app/rules.py drops, judged here from the
-- same facts. A page view with a user and an explicit timestamp (not the moment it was received),
-- less than a day old then, is judged; of those of one user and timestamp on one partition of the
-- topic the first ones by offset count.
-- Plan: a condition on datetime reaches both scans, the one below row_number() too, because
-- datetime is in its "partition by". Only judged rows are sorted.
create view human_event as
select uuid, type, ip, url, datetime, received_at, user_id, session_id, ad_id, app_name,
    product_id, category, value, properties, kafka_partition, kafka_offset
from event
where type not in ('page_view', 'PageView', 'VIEW')
    or user_id is null
    or datetime = received_at
    or received_at - datetime >= interval '1 day'
union all
select uuid, type, ip, url, datetime, received_at, user_id, session_id, ad_id, app_name,
    product_id, category, value, properties, kafka_partition, kafka_offset
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
