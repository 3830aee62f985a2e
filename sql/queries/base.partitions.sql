-- The partitions of event that end at or before a moment, whoever made them. $1 timestamptz
select relid::regclass::text as name
from (
    select inhrelid as relid,
        substring(pg_get_expr(relpartbound, pg_class.oid) from $$ TO \('([^']+)'\)$$) as until
    from pg_inherits join pg_class on pg_class.oid = inhrelid
    where inhparent = 'event'::regclass
) parts
where until::timestamptz <= $1
order by 1
