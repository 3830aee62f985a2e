"""Task refresh_summary: the hourly counts of the tables into event_summary."""

from __future__ import annotations

from time import time
from typing import Any

from app.refresh import Refresher, RowSource, next_refresh_s
from app.summary import SINK, SummaryRow, SummaryWriter


def register(
    app: Any, source: RowSource[SummaryRow], writer: SummaryWriter, interval_s: float
) -> None:
    """Add the task to the app; it writes at each interval, and when an hour ends."""
    refresher = Refresher(SINK, writer, source)

    @app.task
    async def refresh_summary() -> None:
        try:
            while not app.should_stop:
                await app.sleep(next_refresh_s(time(), interval_s))
                await refresher.cycle()
        finally:
            await refresher.close()
