"""What events of forgotten months add up to, in streams: no month is ever held in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from decimal import Decimal
from itertools import islice
from time import time
from typing import Any, NamedTuple

import asyncpg

from app.counting.click_facts import ClickFacts
from app.counting.counters import Counters
from app.counting.groups import FoldState
from app.counting.registry import Registry
from app.counting.rules import COUNTED_CLICK
from app.counting.spec import TYPES, CounterSpec, Rows
from app.counting.uniques import Accumulator
from app.events.batches import Slice, Verdicts
from app.events.derived import AD_CLICK
from app.kafka.watermarks import Offsets, Say
from app.reconcile.comparison import by_partition
from app.reconcile.own_counters import CELLS_MAX, NEVER, verdicts_of
from app.stores.sql import load_queries

TURN_ROWS = 1000  # of event, folded in one turn of the loop
TURN_CELLS = 5000  # copied in one turn
SKETCHES_MAX = 1000  # in memory, up to 100 KB each
BEFORE_EVENT = 6  # columns of base.clicks

CellAt = tuple[int, int, str, str, int, bool]  # as the columns of base_new


class EventRange(NamedTuple):
    """Events of before a month, with offsets from begin and below end, by partition."""

    before: Any
    begin: Offsets
    end: Offsets

    def args(self) -> tuple[Any, list[int], list[int]]:
        """Return $1 to $3 of base.events."""
        ends = by_partition(self.end)
        return self.before, [self.begin.get(part, 0) for part in range(len(ends))], ends


def kept_for_good(specs: Iterable[CounterSpec]) -> Counters:
    """Return the counters that have something of a month whose rows go, but for what is left out.

    What is left out, page views of bots and duplicates, is counted by Postgres.
    """
    return Counters(
        spec
        for spec in specs
        if spec.retention is None and not spec.sum_of and spec.of in ("human", "counted_click")
    )


class BaseFold:
    """Folds events, read in a transaction, into temporary tables and base_sketches."""

    def __init__(
        self,
        connection: asyncpg.Connection,
        counters: Counters,
        registry: Registry,
        version: int,
        say: Say,
    ) -> None:
        """counters: kept_for_good(). registry: where they begin, and what keys they keep."""
        self.counters, self._connection, self._say = counters, connection, say
        self._sql, self._registry, self._version = load_queries(), registry, version
        kept = dict(registry.keys)
        if TYPES in kept and not registry.is_full(TYPES):
            del kept[TYPES]  # all of them are counted by name
        self._state = FoldState(kept)
        self._sketches = Accumulator()
        self._found: defaultdict[CellAt, int] = defaultdict(int)

    async def events(self, some: EventRange) -> None:
        """Add the events that count."""
        seen = 0
        async for rows in self._chunks("base.events", *some.args(), True):  # noqa: FBT003
            for partition, verdicts in verdicts_of(rows):
                begun, first = self._begun(partition), verdicts.human.offsets[0]
                args = begun, verdicts, first - 1, time(), self._state
                self._add(partition, self.counters, self.counters.fold_begun(*args))
                values = self.counters.distinct_values(begun, verdicts, time(), self._state)
                self._sketches.note_values(values)
                self._sketches.note(verdicts.human, time())
            seen += len(rows)
            self._say(f"adding up what is forgotten: {seen} events")
            await self._write("base_new", at_least=CELLS_MAX)
            await self._write_sketches(at_least=SKETCHES_MAX)
        await self._write("base_new")
        await self._write_sketches()

    async def sums_that_stay(self, some: EventRange) -> None:
        """Add, for the check alone, the events that stay to sums of all time."""
        counters = Counters(
            spec
            for spec in self.counters.values()
            if spec.measure.kind == "sum" and not spec.window
        )
        if not counters:
            return
        async for rows in self._chunks("base.events", *some.args(), False):  # noqa: FBT003
            for partition, verdicts in verdicts_of(rows):
                args = verdicts, verdicts.human.offsets[0] - 1, time(), self._state
                self._add(partition, counters, counters.fold_begun(self._begun(partition), *args))
            self._say("adding up the sums of what stays")
            await self._write("base_kept", at_least=CELLS_MAX)
        await self._write("base_kept")

    async def clicks(self, some: EventRange) -> None:
        """Add each third click, and note how many clicks of users are gone."""
        users: list[tuple[int, str, list[int], list[int]]] = []
        place, facts = None, ClickFacts((), ())

        async def done() -> None:
            if place is not None:
                facts.end()
                users.append((*place, facts.positions, facts.counts))

        async for rows in self._chunks("base.clicks", *some.args(), AD_CLICK):
            counted = []
            for row in rows:
                if (found := (row["kafka_partition"], row["user_id"])) != place:
                    await done()
                    place = found
                    facts = ClickFacts(row["positions"] or (), row["counts"] or ())
                number = facts.number(row["kafka_offset"], gone=row["gone"])
                if row["gone"] and row["fresh"] and number % COUNTED_CLICK == 0:
                    counted.append((*row[:2], *row[BEFORE_EVENT:]))
            for partition, verdicts in verdicts_of(counted):
                rows_of = self.counters.fold(
                    Verdicts(Slice(), counted_click=verdicts.human), time()
                )
                self._add(partition, self.counters, rows_of)
            await self._write("base_new", at_least=CELLS_MAX)
            await self._write_users(users)
            users.clear()
        await done()
        await self._write_users(users)
        await self._write("base_new")

    def _begun(self, partition: int) -> dict[int, int]:
        began = self._registry.began(partition, self._version)
        own = (spec.number for spec in self.counters.values() if spec.declared)
        return {number: began.get(number, NEVER) for number in own}

    async def _chunks(self, name: str, *args: object) -> AsyncIterator[list[Any]]:
        """Yield rows by a cursor that is closed at the end: a table that one reads stays."""
        connection = self._connection
        await connection.execute(f"declare base_rows no scroll cursor for {self._sql[name]}", *args)
        while rows := await connection.fetch(f"fetch {TURN_ROWS} from base_rows"):
            yield list(rows)
        await connection.execute("close base_rows")

    def _add(self, source: int, counters: Counters, rows: Rows) -> None:
        found = self._found
        for row, cells in rows.items():
            spec = counters.by_number[row[0]]
            key, start, label = spec.keys.parse(row)
            signs, window = spec.measure.signs, spec.window or 0
            for slot, value in cells.items():
                begin = start + slot // signs * window
                found[spec.number, source, key, label, begin, bool(slot % signs)] += value

    async def _write(self, table: str, *, at_least: int = 1) -> None:
        if len(self._found) >= at_least:
            rows = ((*place, Decimal(value)) for place, value in self._found.items())
            while some := list(islice(rows, TURN_CELLS)):
                await self._connection.copy_records_to_table(table, records=some)
            self._found.clear()

    async def _write_sketches(self, *, at_least: int = 1) -> None:
        if len(self._sketches) >= at_least:
            rows = list(self._sketches.take().items())
            await self._connection.copy_records_to_table("base_sketches", records=rows)

    async def _write_users(self, users: Sequence[tuple[int, str, list[int], list[int]]]) -> None:
        """Replace what is known of users."""
        if not users:
            return
        places = [list(column) for column in zip(*(user[:2] for user in users), strict=True)]
        await self._connection.execute(self._sql["base.clicks_known"], *places)
        await self._connection.copy_records_to_table("base_clicks", records=users)
