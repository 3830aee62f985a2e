"""A turn of the event loop that takes long is seen in the metrics."""

from __future__ import annotations

import asyncio
import time

from prometheus_client import REGISTRY

from app.monitor.loop_watch import watch_loop
from tests.support.waiting import wait_until

STALL_S = 0.3


def stalls(over_s: str) -> float:
    """Return how many measurements were over a bound of the histogram."""
    name = "event_counter_loop_stall_seconds"
    below = REGISTRY.get_sample_value(f"{name}_bucket", {"le": over_s}) or 0
    return (REGISTRY.get_sample_value(f"{name}_count") or 0) - below


async def test_what_holds_up_the_loop_is_measured() -> None:
    before = stalls("0.1")
    watching = asyncio.create_task(watch_loop())
    await asyncio.sleep(0)

    def stall() -> float:
        time.sleep(STALL_S)
        return stalls("0.1")

    await wait_until(stall, lambda found: found > before)
    watching.cancel()
