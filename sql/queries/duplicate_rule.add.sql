-- $1 int hours, $2 bool by_uuid: of the store that is the first
insert into duplicate_rule (hours, by_uuid) values ($1, $2) on conflict do nothing
