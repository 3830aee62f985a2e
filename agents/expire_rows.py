"""Timer expire_rows: windows past their retention leave the tables and their changelogs."""

from __future__ import annotations

from typing import Any

from app import metrics
from app.ownership import Ownership
from tables.partials import Partials
from tables.statistics import Statistics
from tables.totals import Totals

INTERVAL_S = 60.0  # rows span at least 24 minutes


def register(
    app: Any,
    partials: Partials,
    totals: Totals,
    statistics: Statistics | None,
    sources: Ownership,
    owned: Ownership,
) -> None:
    """Add the timer to the app; sources, owned: partitions of `events` and of `counts`."""

    @app.timer(interval=INTERVAL_S, name="expire_rows", on_leader=False)
    async def expire_rows() -> None:
        dropped = await partials.expire(sources.partitions())
        dropped += await totals.expire(owned.partitions())
        if statistics:
            dropped += await statistics.expire(sources.partitions())
        metrics.rows_expired.inc(dropped)
