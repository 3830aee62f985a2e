-- From where on event has all rows, and how many before it are gone.
select max(before) as before, coalesce(sum(rows), 0)::bigint as rows from forgotten_months
