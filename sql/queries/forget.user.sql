-- Take out of the rows of a user all that no counter counts by; a name that one does count by
-- becomes a token, which is the same in all rows. So event says the same figures as before.
-- $1 text user, $2 text salt of the tokens, known to nobody afterwards, $3 timestamptz: message_ids
-- since then may come again and are kept, $4 text[] fields and $5 text[] properties that declared
-- counters count by
-- Plan: two scans of event; there is no index on users or message_ids, as nothing else asks
with theirs as (
    select distinct message_id from event where user_id = $1 and message_id is not null
), held as (
    -- a copy that is judged by them is another's, or may come yet
    select distinct message_id from event
    where message_id in (select message_id from theirs)
        and (user_id is distinct from $1 or coalesce(kafka_time, received_at) > $3)
), changed as (
    update event set
        user_id = forget_token($2, user_id),
        session_id = forget_token($2, session_id),
        uuid = case when 'uuid' = any($4) then forget_token($2, uuid)
            else kafka_partition || '-' || kafka_offset end,
        ip = case when 'ip' = any($4) then forget_token($2, ip) end,
        message_id = case when message_id in (select message_id from held) then message_id
            else forget_token($2, message_id) end,
        referrer = case when 'referrer' = any($4) then referrer end,
        user_agent = case when 'user_agent' = any($4) then user_agent end,
        properties = (
            select jsonb_object_agg(path, found)
            from unnest($5::text[]) path,
                coalesce(properties -> path, properties #> string_to_array(path, '.')) found
            where found is not null)
    where user_id = $1
    returning kafka_time, received_at, message_id
)
select count(*) as rows, max(coalesce(kafka_time, received_at)) as newest,
    count(*) filter (where message_id in (select message_id from held)) as messages
from changed
