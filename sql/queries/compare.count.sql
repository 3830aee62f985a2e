-- $1, $2 timestamptz: hours from, to. $3 bigint[]: the offsets by partition, from 0 on, below which
-- all sides have seen everything. $4 text[]: types that are counted by name; null: all of them
-- Plan: one scan of the months of the range for each half of human_event, one hash of the hours
insert into counted
select url, date_trunc('hour', datetime, 'UTC'),
    case when $4::text[] is null or type = any($4) then type else '__other__' end,
    count(*) filter (where kafka_offset < ($3::bigint[])[kafka_partition + 1]), count(*)
from human_event
where url is not null and datetime >= $1 and datetime < $2
group by 1, 2, 3
