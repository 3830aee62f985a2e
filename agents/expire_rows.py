"""Timer expire_rows: windows past their retention leave the tables and their changelogs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from time import time
from typing import Any, Protocol

from app import metrics
from app.transport.ownership import Ownership

INTERVAL_S = 60.0  # rows span at least 24 minutes
AHEAD_MAX_S = 3600.0  # of the clock, before the newest record


class Expiring(Protocol):
    """A table whose rows have a retention."""

    async def expire(self, partitions: Iterable[int]) -> int:
        """Delete what is past it in these partitions; return how many rows."""


def register(app: Any, tables: Sequence[tuple[Expiring, Ownership]]) -> None:
    """Add the timer to the app; tables: each with the partitions of its source topic."""

    @app.timer(interval=INTERVAL_S, name="expire_rows", on_leader=False)
    async def expire_rows() -> None:
        if not confirmed(time(), app.consumer.newest_ms):
            return
        for table, owned in tables:
            metrics.rows_expired.inc(await table.expire(owned.partitions()))


def confirmed(now_s: float, newest_ms: int) -> bool:
    """Return whether records say that the clock may be right.

    A clock that jumps ahead would delete weeks, here and in the changelogs: where no record is as
    new as it, nothing expires. newest_ms: the latest Kafka timestamp that was read; 0: none yet.
    """
    return now_s - newest_ms / 1000 < AHEAD_MAX_S
