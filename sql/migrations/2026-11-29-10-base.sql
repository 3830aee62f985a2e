-- What months of event added up to whose rows are gone, see docs/internals/decisions/forgetting.md.
-- Written in the transaction that drops the rows; figures are these and what event has.

-- Which rows are gone: one row for each call and partition of `events`.
create table forgotten_months (
    at timestamptz not null default now(),
    before timestamptz not null,  -- event time, the begin of a month
    partition integer not null,
    rows bigint not null
);

-- What they added to counters that are kept for good. Each call adds rows of its own: sum them up.
create table base_cells (
    counter integer not null,     -- its number
    source integer not null,      -- partition of `events`
    key text collate "C" not null,
    label text collate "C" not null,
    start bigint not null,        -- of the window, s since 1970; 0: all time
    negative boolean not null,    -- of a sum: what was taken away
    value bigint not null         -- events, or millionths of a sum
);

-- Distinct values: rows of the table `uniques`. One row may come more than once: unite them.
create table base_sketches (
    row bytea not null,
    sketch bytea not null
);

-- How many ad clicks of a user, gone or not, lie below some offsets of a partition.
create table base_clicks (
    partition integer not null,
    user_id text collate "C" not null,
    positions bigint[] not null,
    counts bigint[] not null
);

-- The offsets of those that Kafka still had: audit counts what became of each of its records.
create table base_offsets (
    partition integer not null,
    offsets int8multirange not null
);
