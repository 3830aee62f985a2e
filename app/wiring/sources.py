"""Wires what role count answers from the partitions of `events` that it has."""

from __future__ import annotations

from typing import Any

import web.stats.trace
from app.kafka.clients import KafkaClients
from app.kafka.log import KafkaLog
from app.names import Names
from app.settings import Settings
from app.stores.traced import TracedRows
from app.transport.ownership import Ownership
from app.wiring.statistics import answer_sessions
from tables.counted_to import CountedTo
from tables.judges import Judges
from tables.partials import Partials
from web.query.queries import Queries
from web.stats.trace import Known


def answer_of_sources(
    app: Any,
    queries: Queries,
    settings: Settings,
    sources: Ownership,
    partials: Partials,
    judges: Judges,
) -> None:
    """Serve the sessions of users, and what became of an event; sources: of `events`."""
    answer_sessions(app, queries, judges.statistics, sources)
    rows = None
    if dsn := settings.postgres.get_secret_value():
        rows = TracedRows(dsn)

        async def close(_web_app: object) -> None:
            rows.close()

        app.web.web_app.on_cleanup.append(close)
    known = Known(
        Names(settings.namespace).events,
        sources,
        partials.counters,
        CountedTo(partials, sources),
        judges.statistics,
        judges.messages,
        judges.begun,
        KafkaLog(KafkaClients.of(settings)),
        rows,
    )
    web.stats.trace.register(queries, known, settings.events_partitions)
