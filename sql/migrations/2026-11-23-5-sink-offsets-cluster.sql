-- Offsets mean something within one Kafka cluster only: the first records of a new one would
-- otherwise pass for stored. Empty: not known.
alter table sink_offsets add column cluster text not null default '';
