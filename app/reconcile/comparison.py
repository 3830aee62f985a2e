"""What event, event_summary, Redis and the tables say, side by side in Postgres.

Each side is copied into a temporary table first. Then one query compares all of them: sorted and
hashed by Postgres, on disk where there is much, so that a million urls take no memory here.

Events flow meanwhile, so event gives two counts: of what every side had seen before it was copied
(low), and of all that any side can have seen when it was (high). Both are of one moment, as
`event` judges a page view by what came before it alone: a later event changes neither.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from app.errors import StartError
from app.events.event import EPOCH
from app.kafka.watermarks import Offsets
from app.stores.connect import connect_session
from app.stores.postgres import postgres_needed
from app.stores.sql import load_queries, migrate_over

CLOSE_TIMEOUT_S = 5.0
PREFETCH = 1000  # differences
SETTINGS = {"work_mem": "64MB", "lock_timeout": "10s"}
HOUR = timedelta(hours=1)
ALWAYS = datetime(3000, 1, 1, tzinfo=UTC)  # after every event


class Comparison:
    """One connection, and what was copied to its temporary tables."""

    def __init__(self, connection: asyncpg.Connection, topic: str) -> None:
        self.connection = connection
        self.sql = load_queries()
        self._topic = topic

    @classmethod
    @asynccontextmanager
    async def open(cls, dsn: str, topic: str) -> AsyncIterator[Comparison]:
        """Connect and prepare; raise StartError where Postgres is away, then or later.

        topic: the name of `events`.
        """
        if not dsn:
            raise StartError("EVENT_COUNTER_POSTGRES is empty, and no copy runs here")
        connection = None
        try:
            with postgres_needed():
                connection = await connect_session(dsn, "event-counter compare", **SETTINGS)
                await migrate_over(connection)
                found = cls(connection, topic)
                await connection.execute(found.sql["compare.prepare"])
                yield found
        finally:
            if connection is not None:
                await connection.close(timeout=CLOSE_TIMEOUT_S)

    async def stored_to(self) -> Offsets:
        """Return the offset up to which each partition of `events` is stored."""
        rows = await self.connection.fetch(
            "select partition, next_offset from sink_offsets where topic = $1", self._topic
        )
        return dict(rows)

    async def lost(self) -> dict[str, int]:
        """Return {topic-partition: offsets that Kafka lost before they were stored}, if any."""
        rows = await self.connection.fetch(
            "select partition, lost from sink_offsets where topic = $1 and lost > 0 order by 1",
            self._topic,
        )
        return {f"{self._topic}-{partition}": count for partition, count in rows}

    async def forgotten(self) -> dict[str, int]:
        """Return how many rows of how many users were forgotten: {"rows": 17, "users": 1}."""
        return dict(await self.connection.fetchrow(self.sql["forgotten.sum"]))

    async def base(self) -> dict[str, Any]:
        """Return {"before": the first month that event has all of, or None, "rows": forgotten}."""
        found = await self.connection.fetchrow(self.sql["base.forgotten"])
        before = found["before"]
        return {"before": before and f"{before:%Y-%m}", "rows": found["rows"]}

    async def gone(self) -> dict[str, Any]:
        """Return what event lacks, and why, as audit says it."""
        return {
            "lost": await self.lost(),
            "forgotten": await self.forgotten(),
            "forgotten_months": await self.base(),
        }

    async def summary_positions(self) -> Offsets:
        """Return the offsets of `counts` that event_summary includes."""
        rows = await self.connection.fetch("select partition, position from summary_positions")
        return dict(rows)

    async def copy(self, side: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Add rows to a side, for example "side_tables"."""
        await self.connection.copy_records_to_table(side, records=rows)

    async def copy_summary(self, begin: datetime, end: datetime) -> None:
        """Copy the hours of event_summary from begin to end."""
        await self.connection.execute(self.sql["compare.summary"], begin, end)

    async def count(
        self, begin: datetime, end: datetime, cut: Offsets, types: list[str] | None
    ) -> None:
        """Count event in a transaction's snapshot.

        cut: low counts what lies below. types: those that are counted by name; None: all.
        """
        args = begin, end, by_partition(cut), types
        await self.connection.execute(self.sql["compare.count"], *args)

    async def analyze(self) -> None:
        """Let Postgres know how much was copied."""
        for side in ("side_tables", "side_all_time", "side_summary", "side_redis"):
            await self.connection.execute(f"analyze {side}")

    async def differences(self, name: str, *args: object) -> AsyncIterator[asyncpg.Record]:
        """Yield the rows of a query of sql/queries/, in a transaction."""
        async for row in self.connection.cursor(self.sql[name], *args, prefetch=PREFETCH):
            yield row


def by_partition(offsets: Mapping[int, int]) -> list[int]:
    """Return the offsets as a list from partition 0 on; 0 for one that is not there."""
    return [offsets.get(partition, 0) for partition in range(max(offsets, default=-1) + 1)]


def whole_hours(begin: datetime | None, end: datetime | None) -> tuple[datetime, datetime]:
    """Return the UTC hours that a range touches; None: from the first event, to the last."""
    first = begin.astimezone(UTC).replace(minute=0, second=0, microsecond=0) if begin else EPOCH
    if end is None:
        return first, ALWAYS
    last = end.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return first, last if last == end else last + HOUR
