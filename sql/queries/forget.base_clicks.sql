-- $1 text user, $2 text salt: as in forget.user
update base_clicks set user_id = forget_token($2, user_id) where user_id = $1
