-- Makes the monthly partitions (UTC) of event that hold the given moments, where missing.
-- A table is made first and attached then, because "create table ... partition of" would wait for
-- every running query on event, and make all later ones wait, too. Two that need the same month at
-- once: the second waits for the lock, and then finds the partition. Vacuum comes after a number of
-- new rows, not after a fifth of the month: until then a query reads all rows that it has not seen.
create function make_event_partitions(moments timestamptz[]) returns void
language plpgsql as $$
declare
    month timestamp;  -- in UTC, without its zone
    partition text;
begin
    perform pg_advisory_xact_lock(hashtext('event_counter.event_partitions'));
    for month in select distinct date_trunc('month', m at time zone 'UTC') from unnest(moments) m
    loop
        partition := 'event_' || to_char(month, 'YYYY_MM');
        if to_regclass(partition) is null then
            execute format(
                'create table %I (like event including defaults) with'
                ' (autovacuum_vacuum_insert_scale_factor = 0,'
                ' autovacuum_vacuum_insert_threshold = 200000)',
                partition
            );
            execute format(
                'alter table event attach partition %I for values from (%L) to (%L)',
                partition,
                month at time zone 'UTC',
                (month + interval '1 month') at time zone 'UTC'
            );
        end if;
    end loop;
end
$$;
