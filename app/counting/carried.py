"""Counters whose counts come along in the rows of another one, while they are few. Pure.

Page views of a url by second, minute and hour are rows of their own in each of two stages, and
most urls have few of them. So a row of events by url, type and hour carries the seconds of its page
views as further slots, FINE and above; the totals make the rows of the other counters of them. A
row carries its first FINE_MAX seconds, whatever comes later has rows of its own in both stages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from math import inf
from typing import NamedTuple

from app.counting.row_keys import RowKeys
from app.counting.spec import DAY, OTHER_KEY, Cells, CounterSpec, Rows

FINE = 256  # the slot of a row's first second; windows have those below
SLOT_LAST = FINE + DAY - 1
FINE_MAX = 24  # seconds that a row carries: the first ones in the order of offsets
TYPE_BITS = 24  # of a cell, below them: source partition and slot


class Carried:
    """base: the counter that carries. levels: by second and coarser, each row a window of the next.

    types: of the events that the levels count.
    """

    def __init__(self, base: CounterSpec, levels: Iterable[CounterSpec]) -> None:
        self.base = base
        self.levels = sorted(levels, key=lambda spec: spec.window or 0)
        self.types = self.levels[0].types
        windows = [spec.window for spec in self.levels]
        spans = [1, *(spec.row_span for spec in self.levels)]
        if windows != spans[:-1] or spans[-1] != base.row_span or base.retention is not None:
            raise ValueError(f"rows of {base.name} cannot carry those of {self.levels[0].name}")
        # Types that are not kept share a label, and of it these are carried alone.
        labels = [*sorted(self.types), OTHER_KEY]
        # Each label of a source partition has cells of its own, and those of rows of their own
        # are others. The places are stored in cells: the order must stay.
        self._places = {label: place << TYPE_BITS for place, label in enumerate(labels, 1)}
        self._levels = [
            CarriedLevel(spec.keys, spec.window or 1, spec.row_span, spec.retention or inf)
            for spec in self.levels
        ]

    def place(self, row: bytes) -> int | None:
        """Return what tells the cells of the levels that a row makes from others.

        None: the row cannot have seconds.
        """
        if row[0] != self.base.number:
            return None
        _, _, label = self.base.keys.parse(row)
        return self._places.get(label)

    def rows(self, row: bytes, fine: Cells, now: float) -> Rows:
        """Return the rows of the levels that the slots of seconds of a row of base add up to.

        now: s since 1970, for what is too old.
        """
        start, tail = self.base.permanent_keys.start_and_unlabelled(row)
        found: Rows = {}
        begin = start - FINE
        if len(fine) == 1:  # most rows have one
            ((slot, count),) = fine.items()
            return self._rows_of_one(begin + slot, count, tail, now)
        windows = {begin + slot: count for slot, count in fine.items()}  # start: count
        for level in self._levels:
            span, window = level.span, level.window
            by_row: dict[int, Cells] = {}
            for at, count in windows.items():
                slot = at % span
                cells = by_row.get(at - slot)
                if cells is None:
                    by_row[at - slot] = {slot // window: count}
                else:
                    cells[slot // window] = count
            oldest = now - level.keeps
            for start, cells in by_row.items():
                if start + window <= oldest:
                    cells = _young(cells, start, window, oldest)  # noqa: PLW2901
                if cells:
                    found[level.keys.join(start, tail)] = cells
            if len(by_row) == len(windows):  # each has one
                windows = dict(zip(by_row, windows.values(), strict=True))
            else:
                windows = {start: sum(cells.values()) for start, cells in by_row.items()}
        return found

    def _rows_of_one(self, at: int, count: int, tail: bytes, now: float) -> Rows:
        """Return rows() of one second, since 1970, in a third of its time."""
        found: Rows = {}
        for keys, window, span, keeps in self._levels:
            start = at - at % span
            slot = at % span // window
            if start + slot * window + window > now - keeps:
                found[keys.join(start, tail)] = {slot: count}
        return found

    def carrying(self, rows: Rows) -> list[bytes]:
        """Return the rows that a fold has put seconds into."""
        number = self.base.number
        return [row for row, cells in rows.items() if row[0] == number and has_fine(cells)]

    def spread(self, rows: Rows, loose: Mapping[bytes, Cells], now: float) -> Rows:
        """Return rows with some of their seconds in rows of the levels. loose: seconds by row."""
        found = dict(rows)
        for row, fine in loose.items():
            cells = rows[row]
            found[row] = {slot: cells[slot] for slot in cells if slot not in fine}
            for own, added in self.rows(row, fine, now).items():
                known = found.setdefault(own, added)
                if known is not added:  # of another type
                    for slot, count in added.items():
                        known[slot] = known.get(slot, 0) + count
        return found


class CarriedLevel(NamedTuple):
    """A counter. span: seconds of a row. keeps: seconds."""

    keys: RowKeys
    window: int
    span: int
    keeps: float


def has_fine(cells: Cells) -> bool:
    """Whether a row that a fold made has slots of seconds; they are its last ones."""
    return next(reversed(cells), 0) >= FINE


def loose_seconds(cells: Cells, known: Cells) -> Cells:
    """Return the seconds that a fold put into a row and the row does not carry.

    cells: of the fold, seconds in the order that they first came in. known: of the row until now.
    What is carried follows from the events alone, however they are cut into batches, and of events
    that were counted before it is the same.
    """
    new = {slot: count for slot, count in cells.items() if slot >= FINE and slot not in known}
    if not new:
        return new
    room = max(0, FINE_MAX - sum(map(FINE.__le__, known)))
    return dict(islice(new.items(), room, None)) if room else new


def parted(cells: Cells) -> tuple[Cells, Cells]:
    """Return the slots of windows, and those of seconds."""
    windows: Cells = {}
    fine: Cells = {}
    for slot, count in cells.items():
        (fine if slot >= FINE else windows)[slot] = count
    return windows, fine


def _young(cells: Cells, start: int, window: int, oldest: float) -> Cells:
    """Return the windows that end after `oldest`."""
    return {slot: count for slot, count in cells.items() if start + slot * window + window > oldest}
