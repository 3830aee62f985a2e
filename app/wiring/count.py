"""Role count: folds events into tables, merges them, and answers."""

from __future__ import annotations

from collections.abc import Sequence

import faust
from prometheus_client.registry import Collector

import agents.count_events
import agents.expire_rows
import agents.merge_counts
import agents.publish_totals
import agents.watch_counters
import agents.watch_tables
import web.http.health
from agents.expire_rows import Expiring
from app.counting.counters import Counters
from app.counting.registry import Registry
from app.kafka.counter_log import CounterLog
from app.kafka.rejections import Rejections
from app.kafka.tables_version import FIRST
from app.monitor.worker_metrics import OutcomeMetrics, TableMetrics, WorkerMetrics
from app.names import Names
from app.reconcile.past_events import PastReader
from app.reconcile.past_transport import past_transport
from app.settings import Settings
from app.transport.ownership import Ownership
from app.wiring.alerts import add_alerts
from app.wiring.faust_app import batch_app, batch_topic, ready
from app.wiring.logs import all_again
from app.wiring.sinks import refresh_sinks
from app.wiring.sources import answer_of_sources
from app.wiring.statistics import answer_queries, count_users, refresh_ads
from app.wiring.tables import count_tables
from tables.beginnings import Beginnings
from tables.counters import declare
from tables.floor import Floor
from tables.judges import Judges
from tables.messages import Messages
from tables.partials import Partials
from tables.statistics import Statistics
from tables.table_store import memory
from tables.totals import Totals
from tables.uniques import Uniques

OwnedTable = tuple[Expiring, Ownership]


def build(
    settings: Settings, version: int, past: PastReader | None, registry: Registry | None = None
) -> faust.App:
    """Return the app; its tables are of this version. registry: own counters.

    past: events for rebuild_tables; no queries, sinks or alerts then.
    """
    names, counters = Names(settings.namespace, version), _counters(settings, registry)
    app = _empty_app(settings, names, version)
    sources = Ownership(app, names.events, "partials", settings.events_partitions)
    partials, totals = count_tables(app, settings, counters, names, sources)
    owned = Ownership(app, names.counts, "totals", settings.counts_partitions)
    statistics = Statistics.create(app, settings, sources, partials, names.uniques)
    events = batch_topic(app, names.events, settings.events_partitions)
    counts = batch_topic(app, names.counts, settings.counts_partitions)
    begun = Beginnings(counters, CounterLog(settings), version, of_past=past is not None)
    messages = Messages.create_for(app, settings, partials.once_committed)
    judges = Judges(statistics, messages, begun)
    rejected = None if past else Rejections(settings)
    agents.count_events.register(app, events, partials, settings, judges, rejected)
    alerts = None if past else add_alerts(app, settings, counters, totals)
    agents.merge_counts.register(app, counts, totals, alerts, all_again(settings, names))
    users = count_users(app, settings, counters, names.uniques, alerts) if statistics else None
    expiring: list[OwnedTable] = [(totals, owned), (partials, sources)]
    expiring += [(part, sources) for part in judges.tables()]
    expiring += [(users.table, users.owned)] if users else []
    expiring += [(alerts, owned)] if alerts is not None else []  # an empty table is false
    agents.expire_rows.register(app, expiring)
    web.http.health.register(app, lambda: ready(app), *_figures(app, names, partials, sources))
    if past is not None:
        app.transport = past_transport(app, past)
        return app
    _watch(app, settings, begun, sources, [totals, statistics, users.table if users else None])
    agents.publish_totals.register(app, totals, counters, owned, settings)
    refresh_sinks(app, settings, totals, owned, counters, version)
    refresh_ads(app, users, totals, owned, counters, settings)
    queries = answer_queries(app, totals, owned, counters, users, settings)
    answer_of_sources(app, queries, settings, sources, partials, judges)
    return app


def _figures(
    app: faust.App, names: Names, partials: Partials, sources: Ownership
) -> tuple[Collector, ...]:
    return (
        WorkerMetrics(app, names.count_group),
        TableMetrics(app, memory),
        OutcomeMetrics(partials, sources),
    )


def _watch(
    app: faust.App,
    settings: Settings,
    begun: Beginnings,
    sources: Ownership,
    answering: Sequence[Totals | Statistics | Uniques | None],
) -> None:
    agents.watch_counters.register(app, begun, sources)
    version = int(app.conf.version)
    floor = Floor({} if version == FIRST else None)
    for table in answering:
        if table is not None:
            table.reached.floor = floor
    agents.watch_tables.register(app, settings, version, floor)


def _counters(settings: Settings, registry: Registry | None) -> Counters:
    registry = registry or Registry()
    return declare(settings, registry.specs(), registry.dropped_specs())


def _empty_app(settings: Settings, names: Names, version: int) -> faust.App:
    topics = {names.events, names.counts}
    changelogs = {names.partials_changelog, names.totals_changelog}
    if settings.statistics:
        topics.add(names.uniques)
        changelogs |= names.statistics_changelogs
    if settings.dedupe_hours:
        changelogs.add(names.messages_changelog)
    return batch_app(settings, names.count_app, topics, changelogs, version)
