-- Impressions so far, absolute: the same rows twice change nothing, and a late writer lowers nothing.
-- $1 text[] month, $2 text[] ad_id, $3 bigint[] impressions, in step; $4 text the current month
-- Plan: one probe of the primary key per row
insert into ad_month as kept (month, ad_id, impressions, final)
select u.month, u.ad_id, u.impressions, u.month < $4
from unnest($1::text[], $2::text[], $3::bigint[]) u (month, ad_id, impressions)
on conflict (month, ad_id) do update
    set impressions = excluded.impressions, final = kept.final or excluded.final
    where kept.impressions < excluded.impressions
