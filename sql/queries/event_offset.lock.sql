-- Where the partition goes on, -1 for the start of another cluster; locks it against another
-- worker until the transaction ends. The second lock only shows who has the first, see
-- event_offset.free.
-- $1 text topic, $2 int partition, $3 text cluster, empty if not known
select
    case when cluster = '' or $3 in ('', cluster) then next_offset else -1 end as next,
    void,
    pg_advisory_xact_lock(hashtext($1), $2)
from sink_offsets where topic = $1 and partition = $2 for update
