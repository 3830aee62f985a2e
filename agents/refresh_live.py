"""Task refresh_live: the all-time counts of the tables into Redis."""

from __future__ import annotations

from time import monotonic
from typing import Any

from app.stores.live import SINK, LiveCounts, LiveRow
from app.stores.refresh import LOOK_EVERY_S, Refresher, RowSource, rest_s


def register(app: Any, source: RowSource[LiveRow], writer: LiveCounts, interval_s: float) -> None:
    """Add the task to the app; it writes at each interval, and asks once a second in a long one."""
    refresher = Refresher(SINK, writer, source)

    @app.task
    async def refresh_live() -> None:
        took_s = 0.0
        try:
            while not app.should_stop:
                left_s = rest_s(interval_s, took_s)
                while left_s > LOOK_EVERY_S and not app.should_stop:
                    await app.sleep(LOOK_EVERY_S)
                    await refresher.look(writer.ask)
                    left_s -= LOOK_EVERY_S
                await app.sleep(left_s)
                began = monotonic()
                await refresher.cycle()
                took_s = monotonic() - began
        finally:
            await refresher.close()
