-- The count workers wait, some milliseconds: their upserts come in another order
lock table event_summary in share row exclusive mode
