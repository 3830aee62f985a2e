-- $1, $2 timestamptz: hours from, to. $3 bigint[]: the offsets by partition, from 0 on, below which
-- all sides have seen everything. $4 text[]: types that are counted by name; null: all of them
-- Counter 2 of base_cells, events_by_url_hourly, is what forgotten months added up to.
-- Plan: one scan of the months of the range for each half of human_event, one hash of the hours
insert into counted
select url, hour, type, sum(low)::bigint, sum(high)::bigint
from (
    select url, date_trunc('hour', datetime, 'UTC') as hour,
        case when $4::text[] is null or type = any($4) then type else '__other__' end as type,
        count(*) filter (where kafka_offset < ($3::bigint[])[kafka_partition + 1]) as low,
        count(*) as high
    from human_event
    where url is not null and datetime >= $1 and datetime < $2
    group by 1, 2, 3
    union all
    select key, to_timestamp(start), label, value, value
    from base_cells
    where counter = 2 and to_timestamp(start) >= $1 and to_timestamp(start) < $2
) every
group by 1, 2, 3
