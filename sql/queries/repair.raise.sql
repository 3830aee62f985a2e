-- $1, $2 bigint: numbers in repair, from and below
insert into event_summary as kept (url, datehour, type, count, lastupdate)
select url, hour, type, new, now() from repair where n >= $1 and n < $2 and new > old
on conflict (url, datehour, type) do update
    set count = excluded.count, lastupdate = excluded.lastupdate
    where kept.count < excluded.count
