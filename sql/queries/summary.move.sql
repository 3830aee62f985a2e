-- $1 int partition of the topic counts, $2 bigint position
insert into summary_positions as kept (partition, position) values ($1, $2)
on conflict (partition) do update set position = greatest(kept.position, excluded.position)
