-- $1, $2 timestamptz: hours from, to
insert into side_summary
select url, datehour, type, count from event_summary where datehour >= $1 and datehour < $2
