create temp table repair (
    n bigint generated always as identity,
    url text collate "C", hour timestamptz, type text collate "C", old bigint, new bigint
);
create temp table lowered (url text collate "C", hour timestamptz, type text collate "C")
