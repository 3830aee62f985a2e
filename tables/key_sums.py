"""The sum of each key of a counter over any range, kept in memory from the first question on.

The first question reads the rows of the range, in turns. Rows that still grow become columns by
their start, which follow the totals as they are merged; all rows before them become one sum a
tail, of which only those are read again that an event came late for. A counter that nobody asks
for is forgotten after some minutes (docs/internals/decisions/key-sums.md).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from time import monotonic, time

from app.counting.key_columns import Pieces, largest, pieces
from app.counting.spec import DAY, HOUR, Cells, CounterSpec
from app.errors import RecoveringError
from tables.key_parts import KeyPart
from tables.key_scans import rows_between, values_of
from tables.totals import Totals
from tables.turns import Turns, in_turns

IDLE_S = 300.0
AHEAD_S = DAY + HOUR  # that an event may lie ahead of this clock, with some room
TAILS_MAX = 3_000_000  # of all counters, some 150 bytes each; more is read again when asked for
MANY_KEYS = 50_000  # of a partition: where many draw, finding the first takes 5 ms


class KeySums:
    """The sums of all counters; a watcher of the totals."""

    def __init__(self, totals: Totals) -> None:
        self._totals = totals
        self._parts: dict[tuple[int, int], KeyPart] = {}  # by counter's number and partition
        self._locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        totals.watch_with(self)

    def __len__(self) -> int:
        """Return of how many counters and partitions something is in memory."""
        return len(self._parts)

    @property
    def reading(self) -> bool:
        """Whether rows are read just now."""
        return any(part.reading for part in self._parts.values())

    async def top(
        self,
        spec: CounterSpec,
        partitions: Iterable[int],
        span: tuple[int, int],
        label: str | None,
        limit: int,
    ) -> list[tuple[bytes, int]]:
        """Return the limit keys of these partitions with the largest sums of their cells.

        span: [begin, end) at edges of windows, seconds since 1970. label: only this one's.
        The result is right for what was merged when each partition was summed. Raises
        RecoveringError where a partition moved meanwhile.
        """
        found: list[tuple[bytes, int]] = []
        turns = Turns()
        wanted = None if label is None else label.encode()
        asked = _asked(spec, span, int(time()))
        async with self._locks[spec.number]:
            for partition in partitions:
                part = await self._part(spec, partition, asked, turns)
                keys, by_key = part.by_key(asked, wanted)
                if len(keys) < MANY_KEYS:
                    found += largest(keys, by_key, limit)
                else:
                    found += await asyncio.to_thread(largest, keys, by_key, limit)
                await turns.next()
        return found

    # -- what the totals tell ---------------------------------------------------------------

    def note(self, partition: int, rows: Mapping[bytes, Cells], _position: int) -> None:
        """Remember rows that were merged, of the counters that are asked for."""
        if not self._parts:
            return
        self._drop_idle()
        parts = {number: part for (number, at), part in self._parts.items() if at == partition}
        if not parts:
            return
        for row, cells in rows.items():
            if (part := parts.get(row[0])) is not None:
                part.note(row, cells)

    def forget(self) -> None:
        """Begin anew: partitions have moved."""
        self._parts.clear()

    # -- reading ----------------------------------------------------------------------------

    async def _part(
        self, spec: CounterSpec, partition: int, asked: Pieces, turns: Turns
    ) -> KeyPart:
        """Return what is known of a partition, with all that is asked for."""
        self._drop_idle()
        place = spec.number, partition
        part = self._parts.get(place)
        if part is None:
            part = self._parts[place] = KeyPart(spec)
        part.used = monotonic()
        self._make_room(place)

        def check() -> None:
            if self._parts.get(place) is not part:
                raise RecoveringError("partitions moved to another worker")

        db = self._totals.db(partition)
        try:
            for begin, end in part.missing(asked):
                async for some in in_turns(rows_between(db, spec, begin, end), check):
                    part.take(some)
            part.reading.clear()
            async for changed in in_turns(part.changed(asked), check):
                part.renew(changed)
            for tail in part.late(asked):
                values = values_of(db, spec, tail, *asked.past)
                part.set_past(asked, tail, values)
                await turns.next()
                check()
        except BaseException:  # what is there in part must not be taken for all
            if self._parts.get(place) is part:
                del self._parts[place]
            raise
        return part

    def _drop_idle(self) -> None:
        idle = monotonic() - IDLE_S
        self._parts = {place: part for place, part in self._parts.items() if part.used > idle}

    def _make_room(self, newest: tuple[int, int]) -> None:
        """Drop what was asked for longest ago, while there are more than TAILS_MAX."""
        size = sum(len(part.tails) for part in self._parts.values())
        for place, part in sorted(self._parts.items(), key=lambda item: item[1].used):
            if size <= TAILS_MAX:
                break
            if place[0] != newest[0]:
                size -= len(part.tails)
                del self._parts[place]


def _asked(spec: CounterSpec, span: tuple[int, int], now: int) -> Pieces:
    """Return the pieces of a range; now: seconds since 1970."""
    if spec.window is None:
        return Pieces({0: None}, (0, 0))
    begin, end = span
    if end > now + AHEAD_S:  # nothing lies behind that: whole rows are cheaper
        end = now + AHEAD_S + spec.row_span
        end -= end % spec.row_span
    if begin >= end:
        return Pieces({}, (0, 0))
    return pieces(begin, end, spec.window, spec.row_windows, now - DAY - spec.row_span)
