"""Wires what role count answers, and the distinct users, which are a part of the statistics."""

from __future__ import annotations

from dataclasses import dataclass
from time import time
from typing import Any

import agents.merge_uniques
import agents.refresh_ads
import web.query.link
import web.query.queries
import web.query.table_rows
import web.stats.active
import web.stats.ads
import web.stats.counts
import web.stats.keys
import web.stats.pages
import web.stats.ranked
import web.stats.report
import web.stats.sessions
from app.counting.counters import Counters
from app.kafka.clients import KafkaClients
from app.kafka.log import KafkaLog
from app.names import Names
from app.settings import Settings
from app.stores.ad_months import AdMonths
from app.transport.ownership import Ownership
from app.wiring.faust_app import batch_topic
from app.wiring.sinks import counts_log
from tables.ad_rows import AdImpressions, AdVisitors
from tables.alerts import Alerts
from tables.distinct_rows import DistinctRows
from tables.row_sources import WHOLE_KEY, ChangeLog
from tables.statistics import Statistics
from tables.totals import Totals
from tables.uniques import Uniques
from web.http.worker_secret import WorkerSecret
from web.query.gather import Gathering
from web.query.queries import Queries
from web.query.stepwise import Stepwise
from web.stats.distinct import Sketches


@dataclass(frozen=True)
class Users:
    """What counts them. owned: partitions of the topic `uniques`."""

    table: Uniques
    owned: Ownership


def count_users(
    app: Any, settings: Settings, counters: Counters, name: str, alerts: Alerts | None
) -> Users:
    """Merge the sketches of the topic `uniques`, which has this name."""
    partitions = settings.counts_partitions
    help_text = Uniques.__doc__ or ""
    table = Uniques.create(app, "uniques", partitions, help_text, counters=counters)
    topic = batch_topic(app, name, partitions)
    agents.merge_uniques.register(app, topic, table, alerts, settings.commit_interval_s)
    return Users(table, Ownership(app, name, "uniques", partitions))


def answer_queries(
    app: Any,
    totals: Totals,
    owned: Ownership,
    counters: Counters,
    users: Users | None,
    settings: Settings,
) -> Queries:
    """Serve the queries; owned: partitions of `counts`. users: None without statistics."""
    secret = WorkerSecret(settings.worker_secret.get_secret_value())
    contact = app.transport.contact
    queries = Queries(app, owned, secret, totals.reached, settings.events_partitions, contact)
    stepwise = Stepwise(owned)
    web.stats.report.register(queries, stepwise, totals, counters)
    rows = DistinctRows(users.table) if users else None
    sketches = Sketches(users.table, rows, users.owned) if users and rows else None
    web.stats.counts.register(queries, stepwise, totals, counters, sketches)
    gathering = Gathering(app, queries, owned, totals.reached)
    web.stats.keys.register(gathering, totals, counters, sketches)
    if users:
        web.stats.active.register(queries, users.table, users.owned)
        web.stats.ads.register(queries, stepwise, totals, users.table, users.owned)
        web.stats.pages.register(queries, totals, owned, counters)
        web.stats.ranked.register(gathering, totals, counters)
    web.query.table_rows.register(queries, totals, counters, rows)
    web.query.queries.register(app, queries)
    web.query.link.register(app, queries)
    return queries


def answer_sessions(
    app: Any, queries: Queries, statistics: Statistics | None, sources: Ownership
) -> None:
    """Serve the sessions of users; sources: partitions of `events`."""
    if statistics:
        gathering = Gathering(app, queries, sources, statistics.reached)
        web.stats.sessions.register(gathering, statistics.sessions, sources)


def refresh_ads(
    app: Any,
    users: Users | None,
    totals: Totals,
    owned: Ownership,
    counters: Counters,
    settings: Settings,
) -> None:
    """Keep ad_month up to date, where Postgres has an address.

    users: None without statistics. owned: partitions of `counts`.
    """
    if users and (dsn := settings.postgres.get_secret_value()):
        version = app.conf.version
        log, names = KafkaLog(KafkaClients.of(settings)), Names(settings.namespace, version)
        agents.refresh_ads.register(
            app,
            AdImpressions(totals, owned, counters, counts_log(settings, version)),
            AdVisitors(users.table, users.owned, ChangeLog(log, names.uniques, WHOLE_KEY)),
            AdMonths(dsn, time, version),
            settings.summary_interval_s,
        )
