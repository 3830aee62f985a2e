select partition, user_id, positions, counts from base_clicks
