-- Whether this session may rebuild the tables: one at a time; the lock goes with the session.
select pg_try_advisory_lock(hashtext('event_counter.rebuild_tables'))
