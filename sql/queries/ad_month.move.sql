-- $1 text figure, $2 int partition of its topic, $3 bigint position
insert into ad_month_positions as kept (figure, partition, position) values ($1, $2, $3)
on conflict (figure, partition) do update set position = greatest(kept.position, excluded.position)
