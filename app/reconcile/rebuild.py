"""event_summary and Redis, counted anew from event while events flow.

Each is compared with event as audit does it: copied first, then event is counted up to an offset
that no copy can be ahead of. What is too low is raised as the count workers raise it. What is
higher cannot be right, and is set to the count, unless somebody raised it since: a count worker
that knows more. A write of theirs that was swallowed by the value that was too high is made up for
by a second count of what was lowered.

Where event lacks rows that were stored, as of a month that was detached, what is higher may be
right, and nothing is lowered.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

from app.errors import SettingsError
from app.events.event import EPOCH
from app.kafka.counter_log import decided
from app.kafka.watermarks import Say, Watermarks, wait_for
from app.names import Names
from app.reconcile.comparison import ALWAYS, Comparison, whole_hours
from app.reconcile.counted import WORKERS_S
from app.reconcile.live_repair import Cell, LiveRepair
from app.reconcile.live_scan import LiveScan
from app.reconcile.own_counters import decided_after_snapshot
from app.settings import Settings

CHUNK_ROWS = 5000  # of event_summary a transaction: 0.1 s that the count workers wait
CHUNK_CELLS = 1000  # of Redis a call; it answers nobody else meanwhile


@dataclass
class Repaired:
    """What was done.

    counted: rows that event adds up to. missing: rows that event lacks of what was stored; above
    0, counts above event's were left alone.
    """

    counted: int = 0
    raised: int = 0
    lowered: int = 0
    missing: int = 0


class Rebuild:
    """Brings copies of the counts to what event says."""

    def __init__(self, settings: Settings, kafka: Watermarks, say: Say) -> None:
        self._settings, self._kafka, self._say = settings, kafka, say
        self._events = Names(settings.namespace).events
        self._dsn = settings.postgres.get_secret_value()

    async def summary(self, begin: datetime | None, end: datetime | None) -> Repaired:
        """Rebuild the hours of event_summary that a range touches; None: from first, to last.

        Raises StartError where Postgres is away, or the store does not come along.
        """
        first, last = whole_hours(begin, end)
        async with Comparison.open(self._dsn, self._events) as sides:
            await sides.connection.execute(sides.sql["repair.prepare"])
            await sides.copy_summary(first, last)
            async with self._counted(sides, first, last) as repaired:
                await sides.connection.execute(sides.sql["repair.summary"], repaired.missing > 0)
            rows = await sides.connection.fetchval("select count(*) from repair")
            for n in range(1, rows + 1, CHUNK_ROWS):
                self._say(f"writing event_summary: {n} of {rows} rows")
                chunk = n, n + CHUNK_ROWS
                async with sides.connection.transaction():
                    await sides.connection.execute(sides.sql["repair.lock"])
                    raised = await sides.connection.execute(sides.sql["repair.raise"], *chunk)
                    lowered = await sides.connection.execute(sides.sql["repair.lower"], *chunk)
                repaired.raised += _rows(raised)
                repaired.lowered += _rows(lowered)
            if repaired.lowered:
                async with self._counted(sides, first, last):
                    pass
                async with sides.connection.transaction():
                    await sides.connection.execute(sides.sql["repair.lock"])
                    await sides.connection.execute(sides.sql["repair.again"])
        return repaired

    async def redis(self) -> Repaired:
        """Rebuild the hashes of all urls. Raises StartError as summary(), UnavailableError."""
        if not (url := self._settings.redis.get_secret_value()):
            raise SettingsError("EVENT_COUNTER_REDIS is empty, and no copy runs here")
        async with (
            Comparison.open(self._dsn, self._events) as sides,
            aclosing(LiveScan(url)) as scan,
        ):
            repair = LiveRepair(scan.redis)
            await repair.free_positions()
            await sides.connection.execute(sides.sql["repair.prepare"])
            async for rows in scan.read():
                await sides.copy("side_redis", rows)
            async with self._counted(sides, EPOCH, ALWAYS) as repaired:
                found = sides.differences("repair.redis", repaired.missing > 0)
                await self._write_redis(sides, repair, found, repaired)
            if repaired.lowered:
                async with self._counted(sides, EPOCH, ALWAYS):
                    found = sides.differences("repair.redis_again")
                    await self._write_redis(sides, repair, found, Repaired())
        return repaired

    async def _write_redis(
        self,
        sides: Comparison,
        repair: LiveRepair,
        found: AsyncIterator[Any],
        repaired: Repaired,
    ) -> None:
        """Write what was found, by the chunk; note in repaired, and in a table what is lowered."""
        cells: list[tuple[str, Cell]] = []
        lowered: list[tuple[str, None, str]] = []

        async def write() -> None:
            rows = [(url, [cell for _, cell in of]) for url, of in groupby(cells, itemgetter(0))]
            raised, less = await repair.write(rows)
            lowered.extend((url, None, kind) for url, kind in less)
            repaired.raised += raised
            repaired.lowered += len(less)
            cells.clear()
            self._say(f"writing Redis: {repaired.raised + repaired.lowered} counts")

        async for row in found:
            cells.append((row["url"], (row["type"], row["new"], row["old"])))
            if len(cells) >= CHUNK_CELLS:
                await write()
        await write()
        await sides.copy("lowered", lowered)

    @asynccontextmanager
    async def _counted(
        self, sides: Comparison, first: datetime, last: datetime
    ) -> AsyncIterator[Repaired]:
        """Count event up to now into `counted`; inside, it is one transaction."""
        ends = await self._kafka.ends(self._events)
        await wait_for("the store workers", sides.stored_to, ends, WORKERS_S, self._say)
        await sides.analyze()
        async with sides.connection.transaction(isolation="repeatable_read"):
            self._say("counting event")
            await sides.connection.execute("truncate counted")
            registry = await decided_after_snapshot(sides, lambda: decided(self._settings))
            await sides.count(first, last, ends, registry.types_kept())
            size = await sides.connection.fetchrow(sides.sql["compare.sizes"])
            missing = await sides.connection.fetchval(sides.sql["repair.missing"], self._events)
            yield Repaired(size["hours"], missing=int(missing))


def _rows(status: str) -> int:
    """Return how many rows a command changed, from its answer, for example "INSERT 0 12"."""
    return int(status.rpartition(" ")[2])
