-- What the sides say, for one session: read one after the other, compared in one query.
create temp table side_tables (
    url text collate "C", hour timestamptz, type text collate "C", count bigint
);
create temp table side_all_time (url text collate "C", type text collate "C", count bigint);
create temp table side_summary (
    url text collate "C", hour timestamptz, type text collate "C", count bigint
);
-- count: null where the text in Redis is no number
create temp table side_redis (
    url text collate "C", type text collate "C", count bigint, text text
);
-- what: counted, bots or duplicates
create temp table side_types (type text collate "C", what text, count bigint);
create temp table side_rejected (kafka_partition int, kafka_offset bigint);
-- What event says: of low all sides have seen every event, of high none has seen more.
create temp table counted (
    url text collate "C", hour timestamptz, type text collate "C", low bigint, high bigint
);
