-- Raw events: one row per valid record of the topic events, partitioned by month of event time.
-- No index but BRIN: rows arrive almost in the order of time, so it stays a few pages, costs COPY
-- nothing, and leads a query for a time range to its pages. Vacuum adds the new pages to it, see
-- make_event_partitions. collate "C": the order of code points, the same on any machine.
create table event (
    uuid text not null,
    type text collate "C" not null,
    ip text,
    url text collate "C",
    datetime timestamptz not null,     -- event time
    received_at timestamptz not null,  -- by the collector, else Kafka's timestamp of the record
    user_id text,
    session_id text,
    ad_id text,
    app_name text,
    product_id text,
    category text,
    value double precision,
    properties jsonb,
    kafka_partition integer not null,  -- with kafka_offset: the record that this row came from
    kafka_offset bigint not null
) partition by range (datetime);

create index event_datetime on event using brin (datetime) with (pages_per_range = 32);
