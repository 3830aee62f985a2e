"""Wires the tables that every counter is kept in."""

from __future__ import annotations

from typing import Any

from app.counting.counters import Counters
from app.names import Names
from app.settings import Settings
from app.transport.ownership import Ownership
from app.wiring.logs import keep_table_offsets
from tables.layout import rules
from tables.partials import Partials
from tables.totals import Totals


def count_tables(
    app: Any, settings: Settings, counters: Counters, names: Names, sources: Ownership
) -> tuple[Partials, Totals]:
    """Add partials and totals to the app.

    names: of the version that they belong to. sources: partitions of `events`.
    """
    partials = Partials.create(
        app,
        "partials",
        settings.events_partitions,
        Partials.__doc__ or "",
        counters=counters,
        counts_topic=names.counts,
        counts_partitions=settings.counts_partitions,
        rules=rules(settings),
    )
    totals = Totals.create(
        app, "totals", settings.counts_partitions, Totals.__doc__ or "", counters=counters
    )
    keep_table_offsets(app, settings, names, partials, totals)
    partials.committed = sources.committed
    return partials, totals
