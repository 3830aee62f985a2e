-- What was raised since it was copied is left alone. $1, $2 bigint: as in repair.raise
with changed as (
    update event_summary s set count = new, lastupdate = now()
    from repair m
    where n >= $1 and n < $2 and new < old and new > 0
        and s.url = m.url and s.datehour = m.hour and s.type = m.type and s.count = m.old
    returning s.url, s.datehour, s.type
), removed as (
    delete from event_summary s using repair m
    where n >= $1 and n < $2 and new = 0
        and s.url = m.url and s.datehour = m.hour and s.type = m.type and s.count = m.old
    returning s.url, s.datehour, s.type
)
insert into lowered select * from changed union all select * from removed
