"""Task watch_counters: end the worker when other counters are declared: it starts with them.

It also lets counters begin on partitions that nothing is sent to.
"""

from __future__ import annotations

from typing import Any

from agents.ending import end_when
from app.errors import CountersChangedError
from app.transport.ownership import Ownership
from tables.beginnings import Beginnings


def register(app: Any, begun: Beginnings, sources: Ownership) -> None:
    """Add the task to the app; sources: partitions of `events`."""

    async def outdated() -> str:
        try:
            await begun.read()
            starts = {p: sources.started_at(p) for p in sources.partitions()}
            for partition, start in starts.items():  # it may have moved by then
                await begun.load(partition, start)
        except CountersChangedError as exc:
            return str(exc)
        return ""

    @app.task
    async def watch_counters() -> None:
        """End the worker when other counters are declared."""
        await end_when(app, outdated, begun.close)
