"""Role store: copies every event to Postgres."""

from __future__ import annotations

import faust

import agents.forget_old
import agents.store_events
import agents.watch_postgres
import web.http.health
from app.errors import SettingsError
from app.kafka.clients import KafkaClients
from app.kafka.log import KafkaLog
from app.monitor.worker_metrics import WorkerMetrics
from app.names import Names
from app.settings import Settings
from app.stores.event_store import ROLE, EventStore
from app.stores.stored_messages import StoredMessages
from app.wiring.faust_app import batch_app, batch_topic, ready
from app.wiring.logs import keep_offsets

STORE_COMMIT_S = 0.25  # its commit is one request: nothing has to be flushed for it


def build(settings: Settings) -> faust.App:
    """Return the app; raise SettingsError without a Postgres."""
    names = Names(settings.namespace)
    app = batch_app(settings, names.store_group, {names.events}, set())
    app.conf.broker_commit_interval = min(settings.commit_interval_s, STORE_COMMIT_S)
    events = batch_topic(app, names.events, settings.events_partitions)
    if not (dsn := settings.postgres.get_secret_value()):
        raise SettingsError("EVENT_COUNTER_POSTGRES is empty; role store needs one, or use run")
    messages = StoredMessages(settings.dedupe_hours, by_uuid=settings.dedupe_uuid)
    store = EventStore(dsn, KafkaLog(KafkaClients.of(settings)), messages=messages)
    keep_offsets(app, settings, ROLE)
    app.transport.hooks.on_lost = lambda tp, n: store.tell_lost(tp.topic, tp.partition, n)
    agents.store_events.register(app, events, store)
    agents.watch_postgres.register(app, store)
    agents.forget_old.register(app, settings, "event")
    web.http.health.register(app, lambda: ready(app), WorkerMetrics(app, names.store_group))
    return app
