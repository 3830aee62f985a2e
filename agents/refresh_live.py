"""Task refresh_live: the all-time counts of the tables into Redis."""

from __future__ import annotations

from typing import Any

from app.live import SINK, LiveCounts, LiveRow
from app.refresh import Refresher, RowSource


def register(app: Any, source: RowSource[LiveRow], writer: LiveCounts, interval_s: float) -> None:
    """Add the task to the app; it writes at each interval."""
    refresher = Refresher(SINK, writer, source)

    @app.task
    async def refresh_live() -> None:
        try:
            while not app.should_stop:
                await app.sleep(interval_s)
                await refresher.cycle()
        finally:
            await refresher.close()
