-- Counts per url, UTC hour and type, absolute; only ever raised.
create table event_summary (
    url text collate "C" not null,
    datehour timestamptz not null,
    type text collate "C" not null,
    count bigint not null,
    lastupdate timestamptz not null,
    primary key (url, datehour, type)
) with (fillfactor = 80);            -- the current hour is updated again and again

-- Offset of the topic counts up to which a partition's rows are in event_summary.
create table summary_positions (
    partition integer primary key,
    position bigint not null
);
