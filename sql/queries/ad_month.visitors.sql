-- Visitors so far, as ad_month.impressions.
-- $1 text[] month, $2 text[] ad_id, $3 bigint[] visitors, in step; $4 text the current month
insert into ad_month as kept (month, ad_id, visitors, final)
select u.month, u.ad_id, u.visitors, u.month < $4
from unnest($1::text[], $2::text[], $3::bigint[]) u (month, ad_id, visitors)
on conflict (month, ad_id) do update
    set visitors = excluded.visitors, final = kept.final or excluded.final
    where kept.visitors < excluded.visitors
