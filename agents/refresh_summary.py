"""Task refresh_summary: the hourly counts of the tables into event_summary."""

from __future__ import annotations

from time import monotonic, time
from typing import Any

from app.stores.refresh import Refresher, RowSource, rest_s, until_hour_ends_s
from app.stores.summary import SINK, SummaryRow, SummaryWriter


def register(
    app: Any, source: RowSource[SummaryRow], writer: SummaryWriter, interval_s: float
) -> None:
    """Add the task to the app; it writes at each interval, and when an hour ends."""
    refresher = Refresher(SINK, writer, source)

    @app.task
    async def refresh_summary() -> None:
        took_s = 0.0
        try:
            while not app.should_stop:
                await app.sleep(min(rest_s(interval_s, took_s), until_hour_ends_s(time())))
                began = monotonic()
                await refresher.cycle()
                took_s = monotonic() - began
        finally:
            await refresher.close()
