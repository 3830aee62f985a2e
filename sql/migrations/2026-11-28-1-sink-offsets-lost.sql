-- Offsets that Kafka lost before they were stored: deleted by its retention, or cut off. See
-- docs/internals/decisions/lost-logs.md.
alter table sink_offsets add column lost bigint not null default 0;
-- Records right below next_offset that fill up the log and stand for nothing.
alter table sink_offsets add column void bigint not null default 0;
