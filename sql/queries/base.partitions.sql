-- The partitions of event that hold nothing but months before one. $1 text, for example 2026_05
select inhrelid::regclass::text as name
from pg_inherits join pg_class on pg_class.oid = inhrelid
where inhparent = 'event'::regclass and relname ~ '^event_\d{4}_\d{2}(_\d+)?$'
    and substr(relname, 7, 7) < $1
order by 1
