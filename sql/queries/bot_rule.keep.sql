-- $1 int: EVENT_COUNTER_BOT_LIMIT, null where nothing is dropped
update bot_rule set bot_limit = $1 where bot_limit is distinct from $1
