-- Ends the session that has locked a partition, and waits for its client in a transaction older
-- than 5 s: that worker is frozen or cut off, and would keep its lock until it comes back.
-- $1 text topic, $2 int partition
select pg_terminate_backend(pid)
from pg_locks join pg_stat_activity using (pid)
where locktype = 'advisory' and granted and objsubid = 2
  and classid::bigint = hashtext($1)::bigint & 4294967295 and objid::bigint = $2::int
  and datname = current_database() and usename = current_user
  and wait_event = 'ClientRead' and xact_start < clock_timestamp() - interval '5 s'
