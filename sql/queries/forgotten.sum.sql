select coalesce(sum(rows), 0)::bigint as rows, coalesce(sum(users), 0)::bigint as users from forgotten
