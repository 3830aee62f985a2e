-- How many rows of event were removed since they were stored, but for forgotten months, and whether
-- a whole month was.
-- $1 text topic
select (select coalesce(sum(stored), 0) from sink_offsets where topic = $1)
        - (select count(*) from event)
        - (select coalesce(sum(rows), 0) from forgotten_months) as rows,
    exists (
        select from (select distinct date_trunc('month', datehour, 'UTC') as month
                     from event_summary) m
        where to_regclass('event_' || to_char(month at time zone 'UTC', 'YYYY_MM')) is null
    ) as months
