"""Task watch_counters: end the worker when other counters are declared: it starts with them.

It also lets counters begin on partitions that nothing is sent to.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from app.errors import CountersChangedError
from app.transport.ownership import Ownership
from tables.beginnings import Beginnings

INTERVAL_S = 1.0


def register(app: Any, begun: Beginnings, sources: Ownership) -> None:
    """Add the task to the app; sources: partitions of `events`."""

    @app.task
    async def watch_counters() -> None:
        """End with SIGTERM: what is begun is committed, and whoever keeps the worker starts it."""
        try:
            while not app.should_stop:
                try:
                    await begun.read()
                    for partition in sources.partitions():
                        await begun.load(partition, sources.started_at(partition))
                except CountersChangedError as exc:
                    app.log.warning("%s: ending", exc)
                    os.kill(os.getpid(), signal.SIGTERM)
                    return
                await app.sleep(INTERVAL_S)
        finally:
            await begun.close()
