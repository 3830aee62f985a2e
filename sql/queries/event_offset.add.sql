-- A partition that nothing was stored from: -1. $1 text topic, $2 int partition
insert into sink_offsets (topic, partition, next_offset, stored) values ($1, $2, -1, 0)
on conflict do nothing
