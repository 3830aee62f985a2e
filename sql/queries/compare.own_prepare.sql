-- What counters of a counters.toml say, for one session. start: of a window, s since 1970. Sums are
-- millionths, and may be longer than a bigint.
create temp table side_own_tables (
    counter int, key text collate "C", start bigint, label text collate "C", value numeric
);
-- up, down: what was added and taken away by events that not all sides had seen
create temp table side_own_event (
    counter int, key text collate "C", start bigint, label text collate "C",
    low numeric, up numeric, down numeric
);
-- side: 0 of the tables; of event: 1 what all sides had seen, 2 what some had
create temp table side_own_sketches (
    counter int, key text collate "C", start bigint, label text collate "C",
    side smallint, sketch bytea
);
