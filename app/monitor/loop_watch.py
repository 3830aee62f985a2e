"""How long the event loop stands still: how late it runs a timer, because something else ran.

A turn that takes long holds up everything else of a worker: requests, heartbeats, commits. On a
busy machine the time in which another process had the core is in it, too.
"""

from __future__ import annotations

import asyncio

from app import metrics

TICK_S = 0.05  # some 10 us of a core each second


async def watch_loop() -> None:
    """Measure for ever."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + TICK_S
        await asyncio.sleep(TICK_S)
        metrics.loop_stall.observe(max(loop.time() - due, 0.0))
