-- Hourly counts, absolute: the same rows twice change nothing, and a late writer lowers nothing.
-- $1 text[] url, $2 timestamptz[] datehour, $3 text[] type, $4 bigint[] count, in step
-- Plan: one probe of the primary key per row
insert into event_summary as kept (url, datehour, type, count, lastupdate)
select u.*, now()
from unnest($1::text[], $2::timestamptz[], $3::text[], $4::bigint[]) u
on conflict (url, datehour, type) do update
    set count = excluded.count, lastupdate = excluded.lastupdate
    where kept.count < excluded.count
