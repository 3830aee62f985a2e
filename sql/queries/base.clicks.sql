-- All ad clicks of those who clicked in forgotten months, as the rule about them sees them: by
-- user, in the order of offsets.
-- $1 timestamptz, $2, $3 bigint[]: as in base.events. $4 text type
-- positions, counts: what is known of the user, in the first row alone. gone: to be forgotten.
-- fresh: it is one of $2 to $3. Behind them the columns of Event.
-- Plan: one sort, on disk, for the first row and for the order
with clicked as (
    select * from event
    where type = $4 and ad_id is not null and user_id is not null and duplicate is not true
        and kafka_offset < ($3::bigint[])[kafka_partition + 1]
), users as (
    select distinct kafka_partition, user_id from clicked
    where datetime < $1 and kafka_offset >= ($2::bigint[])[kafka_partition + 1]
)
select c.kafka_partition, c.kafka_offset,
    case when row_number() over of_user = 1 then b.positions end as positions,
    case when row_number() over of_user = 1 then b.counts end as counts, c.datetime < $1 as gone,
    c.kafka_offset >= ($2::bigint[])[c.kafka_partition + 1] as fresh,
    c.type, c.url, c.datetime, c.user_id, c.session_id, c.ip, c.uuid, c.received_at, c.ad_id,
    c.app_name, c.product_id, c.category, c.value, c.message_id, c.referrer, c.user_agent,
    c.properties
from clicked c
    join users u on u.kafka_partition = c.kafka_partition and u.user_id = c.user_id
    left join base_clicks b on b.partition = c.kafka_partition and b.user_id = c.user_id
window of_user as (
    partition by c.kafka_partition, c.user_id collate "C" order by c.kafka_offset)
order by c.kafka_partition, c.user_id collate "C", c.kafka_offset
