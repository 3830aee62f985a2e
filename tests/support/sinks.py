"""A sink of absolute counts as a refresher's test uses it: Redis, or event_summary."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio import Redis as Client

from app.stores.live import LiveRow
from app.stores.refresh import Refresher, Sink
from tests.support.rows import MemoryRows


class Setup:
    """A sink, how to make one of its rows, and what it holds."""

    def __init__(
        self,
        name: str,
        open_sink: Callable[[], Sink[Any]],
        row: Callable[[str, int], Any],
        read: Callable[[], Awaitable[dict[str, int]]],
        empty: Callable[[], Awaitable[Any]],
        snapshot: Callable[[], Awaitable[Callable[[], Awaitable[None]]]],
    ) -> None:
        """snapshot: returns what puts the sink back as it is now."""
        self.name, self.row, self.read, self.empty = name, row, read, empty
        self.snapshot = snapshot
        self._open_sink = open_sink
        self.sink: Any = None  # of the newest refresher
        self.opened: list[Refresher[Any]] = []

    def refresher(self, rows: MemoryRows) -> Refresher[Any]:
        """Return a refresher with a connection of its own, as a new worker has it."""
        self.sink = self._open_sink()
        self.opened.append(Refresher(self.name, self.sink, rows))
        return self.opened[-1]

    def merge(self, rows: MemoryRows, url: str, count: int, position: int) -> None:
        """Merge a count into partition 0 of a table."""
        rows.merge(0, url, self.row(url, count), position)


def live_row(url: str, count: int) -> LiveRow:
    """Return a row of Redis."""
    return url, {"CLICK": count}


async def read_live(redis_url: str) -> dict[str, int]:
    """Return {url: clicks} as Redis holds them."""
    async with Client.from_url(redis_url, decode_responses=True) as client:
        keys = [str(key) for key in await client.keys("event_counter:url:*")]
        return {
            key.removeprefix("event_counter:url:"): int(await client.hget(key, "CLICK") or 0)
            for key in keys
        }
