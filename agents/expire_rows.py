"""Timer expire_rows: windows past their retention leave the tables and their changelogs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from app import metrics
from app.transport.ownership import Ownership

INTERVAL_S = 60.0  # rows span at least 24 minutes


class Expiring(Protocol):
    """A table whose rows have a retention."""

    async def expire(self, partitions: Iterable[int]) -> int:
        """Delete what is past it in these partitions; return how many rows."""


def register(app: Any, tables: Sequence[tuple[Expiring, Ownership]]) -> None:
    """Add the timer to the app; tables: each with the partitions of its source topic."""

    @app.timer(interval=INTERVAL_S, name="expire_rows", on_leader=False)
    async def expire_rows() -> None:
        for table, owned in tables:
            metrics.rows_expired.inc(await table.expire(owned.partitions()))
