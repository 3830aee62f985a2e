"""Everything that /metrics shows, a module-level object each; units in the names."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

LATENCY_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)

# Role collect; rejected also counts in role count, which sends them to events-rejected.
events_received = Counter(
    "event_counter_events_received_total", "Events that Kafka has acknowledged."
)
received_bytes = Counter(
    "event_counter_received_bytes_total", "Bytes of the keys and values of these events."
)
events_rejected = Counter(
    "event_counter_events_rejected_total", "Events not taken, by what is wrong.", ["code"]
)
batch_events = Histogram(
    "event_counter_batch_events",
    "Events that shared one record batch and its acknowledgement.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000),
)
acknowledge_seconds = Histogram(
    "event_counter_acknowledge_seconds",
    "From handing a record batch to the producer until Kafka acknowledged it.",
    buckets=LATENCY_S,
)
waiting_bytes = Gauge(
    "event_counter_waiting_bytes", "Bytes of events that wait for Kafka in the collector."
)
kafka_outages = Counter("event_counter_kafka_outages_total", "Times that the collector lost Kafka.")

# All roles.
loop_stall = Histogram(
    "event_counter_loop_stall_seconds",
    "How late the event loop ran a timer: what else had the worker, or its core, so long.",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)

# Role count.
events_counted = Counter("event_counter_events_counted_total", "Events folded into the counts.")
bot_views = Counter(
    "event_counter_bot_views_total", "Page views that the bot rule left out of the counts."
)
duplicates = Counter(
    "event_counter_duplicates_total", "Events left out of the counts, as they were sent before."
)
messages_apart = Counter(
    "event_counter_message_ids_on_two_partitions_total",
    "Message ids seen on two partitions, of one in 64: such duplicates are counted.",
)
counter_left_out = Counter(
    "event_counter_left_out_total",
    "Events that a counter of a counters.toml could not add: not_a_number, sum_overflow.",
    ["counter", "code"],
)
keys_in_other = Counter(
    "event_counter_keys_in_other_total",
    "Keys above most_keys, types above MOST_TYPES: counted as __other__, each in every batch.",
    ["counter"],
)
alerts_raised = Counter("event_counter_alerts_total", "Alerts raised, by their rule.", ["rule"])
webhook_alerts = Counter(
    "event_counter_webhook_alerts_total",
    "Alerts that a webhook is done with: delivered, refused (answered 4xx), given_up.",
    ["outcome"],
)
webhook_failures = Counter(
    "event_counter_webhook_failures_total", "Calls of a webhook that will be tried again."
)
rows_expired = Counter("event_counter_rows_expired_total", "Rows that left their retention.")

# Role store, and the refreshers of role count; sink: event, summary or redis.
events_stored = Counter("event_counter_events_stored_total", "Rows written to the table event.")
sink_rows = Counter("event_counter_sink_rows_total", "Rows of counts written to a sink.", ["sink"])
sink_seconds = Histogram(
    "event_counter_sink_seconds",
    "One write to a sink: a COPY transaction, an upsert of counts, a call of Redis.",
    ["sink"],
    buckets=LATENCY_S,
)
sink_away = Gauge("event_counter_sink_away", "1 while a sink cannot be written to.", ["sink"])
sink_outages = Counter("event_counter_sink_outages_total", "Times a sink went away.", ["sink"])
sink_away_seconds = Counter(
    "event_counter_sink_away_seconds_total", "Time that a sink was away.", ["sink"]
)
events_lost = Counter(
    "event_counter_events_lost_total",
    "Offsets of `events` that Kafka lost or deleted before the role had read them.",
    ["role"],
)

# Every role that reads topics.
records_unreadable = Counter(
    "event_counter_records_unreadable_total",
    "Records that were passed: of a wrong checksum, of an unknown codec, or none of ours.",
    ["topic"],
)

# Role archive.
events_archived = Counter(
    "event_counter_events_archived_total", "App events written to the archive."
)
