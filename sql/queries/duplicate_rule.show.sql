select hours, by_uuid from duplicate_rule
