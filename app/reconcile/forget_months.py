"""Months of event forgotten: their rows go, and what they added up to stays, in one transaction.

The rows are added up first, while events flow. Those that came in meanwhile follow, until there
are none when event is locked; then the partitions are dropped. Killed before the commit, nothing
is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import NamedTuple

import asyncpg

from app.counting.counters import Counters
from app.counting.registry import Registry
from app.counting.spec import FIRST_DECLARED
from app.counting.stats_window import HOURS
from app.errors import StartError, reason
from app.kafka.tables_version import current_version
from app.kafka.watermarks import Offsets, Say, Watermarks, wait_for
from app.names import Names
from app.reconcile.alone import take_lock
from app.reconcile.base_fold import BaseFold, EventRange
from app.reconcile.comparison import by_partition
from app.reconcile.counted import WORKERS_S
from app.reconcile.detached import DetachedMonth, detached_months
from app.reconcile.own_counters import Decided
from app.settings import Settings
from app.stores.connect import connect_session
from app.stores.copies import stored_at
from app.stores.sql import load_queries, migrate_over

MARGIN = timedelta(days=2)  # rows of the tables span a day, and clocks differ
LOCK_S = 600.0  # for whoever reads event: an audit, a query of somebody
LOCK_TRY = "set local lock_timeout = '1s'"  # store workers wait as long as we do
LOCK_PAUSE_S = 2.0
ROUNDS_MAX = 20
BOTS, DUPLICATES = 23, 24  # numbers of bot_views_by_type and duplicates_by_type
READ = "Somebody has read event for ten minutes: nothing is forgotten. Run the same command again"
OVERFLOWED = (
    "The sum {} had no room for all that was added, so what it left out depends on the order: "
    "nothing is forgotten. To forget, give it up first: event-counter counters drop {}"
)

# What is kept for good of what is decided; raises StartError where some window needs the months.
CountersOf = Callable[[Registry], Counters]
DeleteFiles = Callable[[], Awaitable[int]]  # returns how many


class MonthsForgotten(NamedTuple):
    """rows: of event. newest: Kafka time of the last one; None where there was none.

    detached: months that were not touched, as they are no part of event any more. files: of the
    archive.
    """

    rows: int
    newest: datetime | None
    before: datetime
    detached: tuple[DetachedMonth, ...] = ()
    files: int = 0


def month_of(moment: datetime) -> datetime:
    """Return the begin of the UTC month of a moment."""
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def youngest(counters: Counters, now: datetime) -> datetime:
    """Return the last month up to which all can be forgotten: no window that expires needs it."""
    longest = max([HOURS.keeps, *(spec.retention or 0 for spec in counters.values())])
    return month_of(now - timedelta(seconds=longest) - MARGIN)


class ForgetMonths:
    """Takes months out of event. Raises StartError or KafkaUnavailableError."""

    def __init__(
        self,
        settings: Settings,
        kafka: Watermarks,
        decided: Decided,
        kept: CountersOf,
        say: Say,
        workers_s: float = WORKERS_S,
    ) -> None:
        """decided: gives what is decided by now. workers_s: for count workers to come along."""
        self._settings, self._kafka, self._say = settings, kafka, say
        self._decided, self._kept, self._workers_s = decided, kept, workers_s
        self._events, self._sql = Names(settings.namespace).events, load_queries()

    async def run(
        self, before: datetime, delete_files: DeleteFiles | None = None
    ) -> MonthsForgotten:
        """Forget what lies before the begin of a month; again: what came in late since.

        delete_files: in the archive; a backup that begins before would hold them.
        """
        dsn = self._settings.postgres.get_secret_value()
        try:
            connection = await connect_session(dsn, "event-counter forget", work_mem="64MB")
            try:
                await migrate_over(connection)
                await take_lock(connection, self._sql)
                async with connection.transaction():
                    found = await self._forget(connection, before)
                    months = await detached_months(connection, self._sql)
                    left = tuple(month for month in months if month.begin < before)
                files = 0 if delete_files is None else await delete_files()
                return found._replace(detached=left, files=files)
            finally:
                await connection.close()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
            raise StartError(
                f"Forgetting was cut off: {reason(exc)}. Run the same command again"
            ) from exc

    async def _forget(self, connection: asyncpg.Connection, before: datetime) -> MonthsForgotten:
        version = await current_version(self._settings)
        await connection.execute(self._sql["base.prepare"])
        await self._leave_dropped(connection)
        found, begin = MonthsForgotten(0, None, before), Offsets()
        for _ in range(ROUNDS_MAX):
            end = (await stored_at(connection, self._events))[0]
            some = EventRange(before, begin, end)
            rows, newest = await self._add_up(connection, version, some)
            newest = max(filter(None, (newest, found.newest)), default=None)
            found, begin = found._replace(rows=found.rows + rows, newest=newest), end
            if not found.rows:
                return found
            if await self._dropped(connection, before, begin):
                return found
        raise StartError(
            "Events of these months keep coming in: nothing is forgotten. Run the same command "
            "again after the import"
        )

    async def _leave_dropped(self, connection: asyncpg.Connection) -> None:
        """Delete what is known of counters that were dropped."""
        await connection.execute(
            "delete from base_cells where counter >= $1 and counter <> all($2::int[])",
            FIRST_DECLARED,
            sorted((await self._decided()).numbers()),
        )

    async def _counted(self, version: int, end: Offsets) -> Registry:
        """Return what is decided once the tables hold all below end.

        Before, a counter may begin there yet, and keep a key or type that it meets there.
        """
        group = Names(self._settings.namespace, version).count_group

        async def position() -> Offsets:
            return await self._kafka.committed(group, self._events)

        await wait_for("the count workers", position, end, self._workers_s, self._say)
        return await self._decided()

    async def _add_up(
        self, connection: asyncpg.Connection, version: int, some: EventRange
    ) -> tuple[int, datetime | None]:
        """Write down what events add up to; return how many, and the Kafka time of the last."""
        args = some.args()
        rows = await connection.fetch(self._sql["base.rows"], *args)
        if not rows:
            return 0, None
        registry = await self._counted(version, some.end)
        fold = BaseFold(connection, self._kept(registry), registry, version, self._say)
        begins = await self._kafka.begins(self._events)
        held = [max(at, begins.get(part, 0)) for part, at in enumerate(args[1])]
        await connection.execute(self._sql["base.offsets"], args[0], held, args[2])
        types = registry.types_kept()
        await connection.execute(self._sql["base.left_out"], *args, types, BOTS, DUPLICATES)
        await fold.events(some)
        await fold.sums_that_stay(some)
        await fold.clicks(some)
        await self._check_sums(connection, fold.counters)
        await connection.execute(self._sql["base.add"])
        await connection.execute("truncate base_new")
        await connection.executemany(
            "insert into forgotten_months (before, partition, rows) values ($1, $2, $3)",
            [(some.before, row["partition"], row["rows"]) for row in rows],
        )
        return sum(row["rows"] for row in rows), max(row["newest"] for row in rows)

    async def _check_sums(self, connection: asyncpg.Connection, counters: Counters) -> None:
        sums = [spec.number for spec in counters.values() if spec.measure.kind == "sum"]
        number = await connection.fetchval(self._sql["base.overflow"], sums)
        if number is not None:
            name = counters.by_number[number].name
            raise StartError(OVERFLOWED.format(name, name))

    async def _dropped(
        self, connection: asyncpg.Connection, before: datetime, stored: Offsets
    ) -> bool:
        """Drop the rows; return False where some came in that are not added up yet."""
        until = monotonic() + LOCK_S
        while True:
            part = connection.transaction()
            await part.start()
            try:
                await connection.execute(LOCK_TRY)
                await connection.execute("lock table event in access exclusive mode")
            except asyncpg.LockNotAvailableError as exc:
                await part.rollback()
                if monotonic() > until:
                    raise StartError(READ) from exc
                self._say("waiting for those who read event")
                await asyncio.sleep(LOCK_PAUSE_S)
                continue
            if await connection.fetchval(self._sql["base.since"], before, by_partition(stored)):
                await part.rollback()  # and the lock with it
                return False
            await part.commit()
            await self._drop(connection, before)
            return True

    async def _drop(self, connection: asyncpg.Connection, before: datetime) -> None:
        for row in await connection.fetch(self._sql["base.partitions"], before):
            await connection.execute(f"drop table {row['name']}")
        # Of partitions that somebody made by hand, and that go on after these months.
        await connection.execute("delete from event where datetime < $1", before)
