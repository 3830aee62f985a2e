-- As before, but a month whose partition was detached, to be kept elsewhere, gets another one for
-- late events: event_2026_09_2. A relation that only has the name is no partition of event.
create or replace function make_event_partitions(moments timestamptz[]) returns void
language plpgsql as $$
declare
    month timestamp;  -- in UTC, without its zone
    partition text;
    number integer;
begin
    perform pg_advisory_xact_lock(hashtext('event_counter.event_partitions'));
    for month in select distinct date_trunc('month', m at time zone 'UTC') from unnest(moments) m
    loop
        partition := 'event_' || to_char(month, 'YYYY_MM');
        number := 1;
        while to_regclass(partition) is not null and not exists (
            select from pg_inherits
            where inhparent = 'event'::regclass and inhrelid = to_regclass(partition)
        ) loop
            number := number + 1;
            partition := 'event_' || to_char(month, 'YYYY_MM_') || number;
        end loop;
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
