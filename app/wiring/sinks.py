"""Wires what keeps the sinks of role count up to date."""

from __future__ import annotations

import faust

import agents.refresh_live
import agents.refresh_summary
from app.counting.counters import Counters
from app.counting.row_keys import ROW_PART
from app.kafka.clients import KafkaClients
from app.kafka.log import KafkaLog
from app.names import Names
from app.settings import Settings
from app.stores.live import LiveCounts
from app.stores.summary import SummaryWriter
from app.transport.ownership import Ownership
from tables.row_sources import ChangeLog, LiveRows, SummaryRows
from tables.totals import Totals


def counts_log(settings: Settings, version: int) -> ChangeLog:
    """Return the topic `counts` of a version of the tables."""
    topic = Names(settings.namespace, version).counts
    return ChangeLog(KafkaLog(KafkaClients.of(settings)), topic, ROW_PART)


def refresh_sinks(
    app: faust.App,
    settings: Settings,
    totals: Totals,
    owned: Ownership,
    counters: Counters,
    version: int,
) -> None:
    """Keep event_summary and Redis up to date, where they have an address."""
    log = counts_log(settings, version)
    if dsn := settings.postgres.get_secret_value():
        summary = SummaryRows(totals, owned, counters, log)
        writer = SummaryWriter(dsn, version)
        agents.refresh_summary.register(app, summary, writer, settings.summary_interval_s)
    if url := settings.redis.get_secret_value():
        live = LiveRows(totals, owned, counters, log)
        agents.refresh_live.register(app, live, LiveCounts(url, version), settings.redis_interval_s)
