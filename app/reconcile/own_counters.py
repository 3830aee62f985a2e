"""What tables and event say about counters of a counters.toml, side by side in Postgres.

What such a counter counts only the fold can tell, so the events are read and folded here, in
chunks: by the same declarations, from where each counter began, with the keys that it keeps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from decimal import Decimal
from itertools import groupby
from operator import itemgetter
from time import time
from typing import Any, Protocol

from app.counting.counters import Counters
from app.counting.groups import FoldState
from app.counting.measures import Value
from app.counting.registry import Registry
from app.counting.spec import FOREVER, HOUR, CounterSpec, Rows
from app.events.batches import Slice, Verdicts
from app.events.times import rfc3339
from app.kafka.watermarks import Offsets, Say
from app.reconcile.comparison import Comparison
from app.reconcile.own_sketches import SKETCHES_MAX, OwnSketches
from app.reconcile.past_events import event_of

CHUNK_ROWS = 5000  # of event, that are folded in one go
CELLS_MAX = 100_000  # that wait for being copied
NEVER = 1 << 62  # offset

Decided = Callable[[], Awaitable[Registry]]
CellPlace = tuple[int, str, int, str]  # number, key, window start, label
# What all sides have seen; then what was added, what taken away.
Amounts = dict[CellPlace, list[int]]


async def decided_after_snapshot(sides: Comparison, decided: Decided) -> Registry:
    """Take the snapshot of a transaction, and return what is decided by now.

    So what was counted of the events in it is decided. No month is forgotten until it ends.
    """
    await sides.connection.execute(sides.sql["event.hold"])
    await sides.connection.execute("select 1")
    return await decided()


class OwnTables(Protocol):
    """The tables of the count workers."""

    def read(
        self, counter: str, begin: int = 0, end: int = FOREVER
    ) -> AsyncIterator[list[tuple[str, int, str, int]]]:
        """Yield (key, window start in s since 1970, label, value) in chunks."""
        ...

    def sketches(
        self, counter: str, begin: int = 0
    ) -> AsyncIterator[list[tuple[str, int, str, bytes]]]:
        """Yield the same of a counter of distinct values, with their sketches."""
        ...


class OwnCounters:
    """The comparison of all counters that counted when it began."""

    def __init__(self, sides: Comparison, decided: Decided, version: int, say: Say) -> None:
        """decided: gives what is declared by now. version: of the tables."""
        self._sides, self._decided, self._version, self._say = sides, decided, version, say
        self.counters, self.oldest = Counters(()), dict[int, int]()
        self._sketches = OwnSketches(sides, self.oldest)

    async def copy(self, tables: OwnTables) -> None:
        """Copy what the tables say, of windows that do not expire meanwhile."""
        now = int(time())
        self.counters = Counters((await self._decided()).specs())
        self.oldest |= {spec.number: oldest(spec, now) for spec in self.counters.values()}
        await self._sides.connection.execute(self._sides.sql["compare.own_prepare"])
        for name, spec in self.counters.items():
            self._say(f"reading the tables: {name}")
            if spec.measure.is_sketch:
                async for sketches in tables.sketches(name, self.oldest[spec.number]):
                    await self._sketches.copy(spec.number, sketches)
                continue
            async for chunk in tables.read(name, self.oldest[spec.number]):
                rows = [
                    (spec.number, key, start, label, Decimal(value))
                    for key, start, label, value in chunk
                ]
                await self._sides.copy("side_own_tables", rows)

    async def count(self, cut: Offsets) -> None:
        """Count event in a transaction's snapshot; cut: what lies below all sides have seen."""
        if not self.counters:
            return
        # Later than the snapshot: the keys of all events of it are decided by then.
        registry = await self._decided()
        still = registry.numbers()
        self.counters = Counters(spec for spec in self.counters.values() if spec.number in still)
        await self._sides.connection.execute(self._sides.sql["base.own"], sorted(still))
        await self._sketches.add_base(self.counters)
        found: Amounts = defaultdict(lambda: [0, 0, 0])
        seen = 0
        cursor = await self._sides.connection.cursor(self._sides.sql["compare.events"])
        while rows := await cursor.fetch(CHUNK_ROWS):
            for partition, verdicts in verdicts_of(rows):
                begun = begun_at(self.counters, registry.began(partition, self._version))
                self._fold(found, verdicts, begun, cut.get(partition, 0), registry.keys)
            seen += len(rows)
            self._say(f"counting by your own counters: {seen} events")
            if len(found) > CELLS_MAX:
                await self._write(found)
            await self._sketches.write(self.counters, at_least=SKETCHES_MAX)
        await self._write(found)
        await self._sketches.write(self.counters)

    async def differences(self) -> AsyncIterator[dict[str, Any]]:
        """Yield what differs, as it is reported."""
        if not self.counters:
            return
        async for row in self._sides.differences("compare.own"):
            if (spec := self.counters.by_number.get(row["counter"])) is None:
                continue  # dropped meanwhile
            low, high, tables = (
                spec.measure.shown(int(row[side])) for side in ("low", "high", "tables")
            )
            yield _told(spec, row["key"], row["start"], row["label"], [low, high], tables)
        async for (number, key, start, label), span, said in self._sketches.differences():
            if (spec := self.counters.by_number.get(number)) is not None:
                yield _told(spec, key, start, label, span, said)

    def _fold(
        self,
        found: Amounts,
        verdicts: Verdicts,
        begun: Mapping[int, int],
        cut: int,
        kept: Mapping[int, Mapping[str, None]],
    ) -> None:
        """Add the events of a partition."""
        first, last = verdicts.human.offsets[0], verdicts.human.offsets[-1]
        for begin, end, seen in ((first - 1, cut - 1, True), (max(first, cut) - 1, last, False)):
            part = verdicts.between(begin, end)
            if part.human.offsets:
                rows = self.counters.fold_begun(
                    begun, part, part.human.offsets[0] - 1, time(), FoldState(kept)
                )
                self._sketches.note(self.counters, begun, part, time(), kept, seen=seen)
                for place, negative, value in self._cells(rows):
                    if not seen:
                        found[place][2 if negative else 1] += value
                    else:
                        found[place][0] += -value if negative else value

    def _cells(self, rows: Rows) -> Iterator[tuple[CellPlace, bool, int]]:
        for row, cells in rows.items():
            spec = self.counters.by_number[row[0]]
            key, start, label = spec.keys.parse(row)
            signs, window = spec.measure.signs, spec.window or 0
            for slot, value in cells.items():
                begin = start + slot // signs * window
                if begin >= self.oldest[spec.number]:
                    yield (spec.number, key, begin, label), bool(slot % signs), value

    async def _write(self, found: Amounts) -> None:
        rows = [(*place, *map(Decimal, amounts)) for place, amounts in found.items()]
        await self._sides.copy("side_own_event", rows)
        found.clear()


def _told(
    spec: CounterSpec, key: str, start: int, label: str, event: Sequence[Value], tables: Value
) -> dict[str, Any]:
    """Return a difference as it is reported; event: the least and the most."""
    low, high = event
    return {
        "what": "counter",
        "counter": spec.name,
        "key": key,
        "start": rfc3339(start) if spec.window else "",
        "label": label,
        "event": low if low == high else [low, high],
        "tables": tables,
    }


def oldest(spec: CounterSpec, now: int) -> int:
    """Return the first window that is compared, in s since 1970: later ones may go meanwhile."""
    return 0 if spec.retention is None or not spec.window else now - spec.retention + HOUR


def begun_at(counters: Counters, begun: Mapping[int, int]) -> dict[int, int]:
    """Return {number: offset} of all counters; of one that has not begun, none is behind it."""
    return {number: begun.get(number, NEVER) for number in counters.by_number}


def verdicts_of(rows: Iterable[Any]) -> Iterator[tuple[int, Verdicts]]:
    """Yield (partition, its events by offset) of rows of human_event."""
    for partition, some in groupby(sorted(rows, key=itemgetter(0, 1)), itemgetter(0)):
        events, offsets = [], []
        for _, offset, *columns in some:
            events.append(event_of(columns))
            offsets.append(offset)
        times = [event.timestamp.timestamp() for event in events]  # type: ignore[union-attr]
        yield partition, Verdicts(Slice(events, offsets, times, times))
