-- Months whose partitions were detached from event and lie beside it, whole: name and month,
-- whether partitions of event cover it again, and the columns where they are in another order.
with columns as (
    select attrelid, string_agg(quote_ident(attname), ', ' order by attnum) as names
    from pg_attribute where attnum > 0 and not attisdropped
    group by 1
), attached as (
    select substring(bound from $$FROM \('([^']+)'\)$$)::timestamptz as first,
        substring(bound from $$ TO \('([^']+)'\)$$)::timestamptz as until
    from pg_inherits join pg_class on pg_class.oid = inhrelid
        cross join lateral pg_get_expr(relpartbound, pg_class.oid) as bound
    where inhparent = 'event'::regclass
), months as (
    select c.oid, c.relname::text as name, substring(c.relname from '\d{4}_\d{2}') as month
    from pg_class c join pg_class e on e.oid = 'event'::regclass and e.relnamespace = c.relnamespace
    where c.relkind = 'r' and not c.relispartition
        and c.relname ~ '^event_\d{4}_(0[1-9]|1[0-2])(_\d+)?$'
        and not exists (
            select attname from pg_attribute
            where attrelid = e.oid and attnum > 0 and not attisdropped
            except select attname from pg_attribute where attrelid = c.oid)
)
select name, month,
    exists (
        select from attached, to_timestamp(month || ' UTC', 'YYYY_MM TZ') as begin
        where coalesce(first, '-infinity') < begin + interval '1 month'
            and coalesce(until, 'infinity') > begin
    ) as covered,
    case when ours.names = theirs.names then '' else ours.names end as columns
from months
    join columns theirs on theirs.attrelid = oid
    join columns ours on ours.attrelid = 'event'::regclass
order by 1
