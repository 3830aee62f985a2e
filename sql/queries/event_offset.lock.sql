-- Where the partition goes on; locks it against another worker until the transaction ends. The
-- second lock only shows who has the first, see event_offset.free.
-- $1 text topic, $2 int partition
select next_offset, pg_advisory_xact_lock(hashtext($1), $2)
from sink_offsets where topic = $1 and partition = $2 for update
