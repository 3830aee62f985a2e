"""Task refresh_live: the all-time counts of the tables into Redis."""

from __future__ import annotations

from time import monotonic
from typing import Any

from app.stores.live import SINK, LiveCounts, LiveRow
from app.stores.refresh import Refresher, RowSource, rest_s


def register(app: Any, source: RowSource[LiveRow], writer: LiveCounts, interval_s: float) -> None:
    """Add the task to the app; it writes at each interval."""
    refresher = Refresher(SINK, writer, source)

    @app.task
    async def refresh_live() -> None:
        took_s = 0.0
        try:
            while not app.should_stop:
                await app.sleep(rest_s(interval_s, took_s))
                began = monotonic()
                await refresher.cycle()
                took_s = monotonic() - began
        finally:
            await refresher.close()
