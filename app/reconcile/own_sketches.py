"""What tables and event say of distinct values, compared sketch by sketch, not by their estimates.

A sketch is the same whichever way its values came. So the tables are right where uniting theirs
with that of the events adds nothing, in both directions (see app.reconcile.audit for what is
compared with what).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping

from app.counting.counters import Counters
from app.counting.groups import FoldState, KeptKeys
from app.counting.uniques import Accumulator, Union, decode_sketch, estimate_of, includes
from app.events.batches import Verdicts
from app.reconcile.comparison import Comparison

TABLES, ALL_SEEN, SOME_SEEN = range(3)  # whose sketch a row of side_own_sketches is
SKETCHES_MAX = 5000  # that wait for being copied

SketchPlace = tuple[int, str, int, str]  # number, key, window start in s since 1970, label


class OwnSketches:
    """The sketches of one comparison."""

    def __init__(self, sides: Comparison, oldest: Mapping[int, int]) -> None:
        """oldest: {number: first window that is compared, in s since 1970}."""
        self._sides, self._oldest = sides, oldest
        self._events = {side: Accumulator() for side in (ALL_SEEN, SOME_SEEN)}

    async def copy(self, number: int, rows: Iterable[tuple[str, int, str, bytes]]) -> None:
        """Copy what the tables say: (key, window start, label, sketch)."""
        found = [(number, key, start, label, TABLES, sketch) for key, start, label, sketch in rows]
        await self._sides.copy("side_own_sketches", found)

    def note(
        self,
        counters: Counters,
        begun: Mapping[int, int],
        verdicts: Verdicts,
        now: float,
        kept: KeptKeys,
        *,
        seen: bool,
    ) -> None:
        """Add events; seen: whether all sides have seen them."""
        values = counters.distinct_values(begun, verdicts, now, FoldState(kept))
        self._events[ALL_SEEN if seen else SOME_SEEN].note_values(values)

    async def add_base(self, counters: Counters) -> None:
        """Add what forgotten months added up to; in a transaction."""
        found = self._sides.differences("base.sketches", sorted(counters.by_number))
        places: list[tuple[int, str, int, str, int, bytes]] = []
        async for row, sketch in found:
            key, start, label = counters.by_number[row[0]].keys.parse(row)
            places.append((row[0], key, start, label, ALL_SEEN, sketch))
            if len(places) >= SKETCHES_MAX:
                await self._sides.copy("side_own_sketches", places)
                places.clear()
        await self._sides.copy("side_own_sketches", places)

    async def write(self, counters: Counters, *, at_least: int = 1) -> None:
        """Copy what was added, where there is so much of it."""
        if sum(map(len, self._events.values())) < at_least:
            return
        for side, accumulator in self._events.items():
            found = []
            for row, sketch in accumulator.take().items():
                spec = counters.by_number[row[0]]
                key, start, label = spec.keys.parse(row)
                if start >= self._oldest[spec.number]:
                    found.append((spec.number, key, start, label, side, sketch))
            await self._sides.copy("side_own_sketches", found)

    async def differences(self) -> AsyncIterator[tuple[SketchPlace, list[int], int]]:
        """Yield (place, [least, most] of event, what the tables say) where they differ."""
        place: SketchPlace | None = None
        found: tuple[Union, ...] = ()
        async for row in self._sides.differences("compare.own_sketches"):
            if (next_place := tuple(row)[:4]) != place:
                if place and (differing := _difference(found)):
                    yield place, *differing
                place, found = next_place, (Union(), Union(), Union())
            found[row["side"]].add(decode_sketch(row["sketch"]))
        if place and (differing := _difference(found)):
            yield place, *differing


def _difference(found: tuple[Union, ...]) -> tuple[list[int], int] | None:
    tables, least, some = (union.sketch() for union in found)
    most = Union(least, some).sketch()
    if includes(tables, least) and includes(most, tables):
        return None
    low, high, said = (estimate_of(sketch).users for sketch in (least, most, tables))
    return [low, high], said
