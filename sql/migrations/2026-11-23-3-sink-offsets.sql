-- How far each partition of a topic is stored. Read for update and written in the transaction that
-- stores the rows: so each record is stored once, whoever tries it again.
create table sink_offsets (
    topic text not null,
    partition integer not null,
    next_offset bigint not null,     -- all records below it are stored, or were rejected
    stored bigint not null,          -- rows that came from this partition
    primary key (topic, partition)
) with (fillfactor = 50);            -- updated with every batch: room for that in the same page
