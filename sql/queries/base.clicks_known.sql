-- $1 int[], $2 text[]: partitions and users, in step
delete from base_clicks b using unnest($1::int[], $2::text[]) u (partition, user_id)
where b.partition = u.partition and b.user_id = u.user_id
