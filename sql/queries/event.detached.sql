-- Months whose partitions were detached from event and lie beside it, whole: name and month
select c.relname::text as name, substring(c.relname from '\d{4}_\d{2}') as month
from pg_class c join pg_class e on e.oid = 'event'::regclass and e.relnamespace = c.relnamespace
where c.relkind = 'r' and not c.relispartition
    and c.relname ~ '^event_\d{4}_(0[1-9]|1[0-2])(_\d+)?$'
    and not exists (
        select attname from pg_attribute where attrelid = e.oid and attnum > 0 and not attisdropped
        except select attname from pg_attribute where attrelid = c.oid)
order by 1
