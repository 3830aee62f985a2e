-- How many rows of event were removed since they were stored, but for forgotten months.
-- $1 text topic
select (select coalesce(sum(stored), 0) from sink_offsets where topic = $1)
    - (select count(*) from event)
    - (select coalesce(sum(rows), 0) from forgotten_months) as rows
