-- Whether this session may restore: one at a time; the lock goes with the session. Another one than
-- that of rebuild tables, which a restore ends with.
select pg_try_advisory_lock(hashtext('event_counter.restore'))
