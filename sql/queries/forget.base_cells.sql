-- $1 text user, $2 text salt: as in forget.user. $3, $4 int[]: counters whose keys, and whose labels,
-- are users
update base_cells set
    key = case when counter = any($3) and key = $1 then forget_token($2, key) else key end,
    label = case when counter = any($4) and label = $1 then forget_token($2, label) else label end
where (counter = any($3) and key = $1) or (counter = any($4) and label = $1)
