-- Impressions and distinct visitors per ad and month (UTC), absolute; only ever raised.
create table ad_month (
    month text collate "C" not null check (month ~ '^\d{4}-\d{2}$'),  -- e.g. 2026-11
    ad_id text collate "C" not null,
    impressions bigint not null default 0,
    visitors bigint not null default 0,   -- exact up to 4,096, then an estimate
    final boolean not null,               -- the month is over; a late event still corrects the row
    primary key (month, ad_id)
) with (fillfactor = 80);                 -- the current month is updated again and again

create index ad_month_open on ad_month (month) where not final;

-- Offset up to which a partition's rows are in ad_month: impressions from counts, visitors from
-- uniques.
create table ad_month_positions (
    figure text not null,
    partition integer not null,
    position bigint not null,
    primary key (figure, partition)
);
