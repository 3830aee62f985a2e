"""Which seconds go into the rows that carry them, and which into rows of their own.

A row of partials carries its first FINE_MAX seconds. So what was sent to `counts` before a crash
and what is made of the same events after it have each second in the same place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from time import time

from app.counting.carried import FINE, FINE_MAX, Carried, loose_seconds, parted
from app.counting.groups import GroupKey
from app.counting.spec import Cells, CounterSpec, Rows
from tables.partial_values import CARRIES, FoldRange, Partial

KNOWN_MAX = 50_000  # records of a partition of `counts` whose seconds are remembered, 20 MB
FULL_MAX = 20_000  # rows of a source partition that are known to be full, 4 MB

LoadRows = Callable[[Iterable[bytes]], Mapping[bytes, Partial]]
Merged = tuple[bytes, int, Cells]  # row, its place in cells (source partition and more), cells


class SpreadFold:
    """A fold of events, with the seconds that are not carried in rows of their own.

    carried: None: no counter is.
    """

    def __init__(
        self,
        carried: Carried | None,
        fold: FoldRange,
        load: LoadRows,
        full: dict[GroupKey, int],
    ) -> None:
        """load: brings rows of the source partition into memory, and returns all that are.

        full: gets the rows that carry no more seconds.
        """
        self._carried, self._fold, self._load, self._full = carried, fold, load, full
        self._now = time()

    def rows(self, begin: int, end: int) -> Rows:
        """Return the rows that the events at the offsets (begin, end] add up to."""
        rows, carried = self._fold(begin, end), self._carried
        if carried is None:
            return rows
        loose: dict[bytes, Cells] = {}
        carrying = carried.carrying(rows)
        cache = self._load(carrying)
        for row in carrying:
            partial, cells = cache[row], rows[row]
            carries = partial.carries == CARRIES
            if fine := loose_seconds(cells, partial.cells) if carries else parted(cells)[1]:
                loose[row] = fine
                self._note_full(carried.base, row, partial)
        return carried.spread(rows, loose, self._now) if loose else rows

    def _note_full(self, base: CounterSpec, row: bytes, partial: Partial) -> None:
        """Remember a row that carries no more; one that this batch fills is at the next one."""
        known = parted(partial.cells)[1]
        if partial.carries == CARRIES and len(known) < FINE_MAX:
            return
        if len(self._full) >= FULL_MAX:
            self._full.clear()
        key, start, label = base.keys.parse(row)
        self._full[key, label, start] = start + max(known, default=FINE - 1) - FINE


class CarriedCells:
    """What the totals merge of the seconds of rows that carry some: rows of the levels.

    What a record has brought before is left out, while it is remembered.
    """

    def __init__(self, carried: Carried | None) -> None:
        """carried: None: no counter is."""
        self._carried = carried
        self._known: dict[tuple[bytes, int], Cells] = {}

    def levels(self, records: Iterable[Merged], now: float) -> list[Merged]:
        """Return the rows that seconds add up to. records: the rows that carry them."""
        carried, known = self._carried, self._known
        if carried is None:
            return []
        found: list[Merged] = []
        for row, place, fine in records:
            before = known.get((row, place))
            if before == fine:
                continue
            known[row, place] = fine
            made = carried.rows(row, fine, now)
            if before is not None:
                new = {slot: n for slot, n in fine.items() if before.get(slot) != n}
                made = {own: made[own] for own in carried.rows(row, new, now)}
            found += [(own, place, cells) for own, cells in made.items()]
        if len(known) > KNOWN_MAX:
            known.clear()
        found.sort(key=_row_of)
        return found


def _row_of(record: Merged) -> bytes:
    return record[0]
