-- What was lowered is raised to what event says by now
insert into event_summary as kept (url, datehour, type, count, lastupdate)
select url, hour, type, high, now() from lowered join counted using (url, hour, type)
on conflict (url, datehour, type) do update
    set count = excluded.count, lastupdate = excluded.lastupdate
    where kept.count < excluded.count
