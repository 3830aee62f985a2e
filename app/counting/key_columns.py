"""What the rows of one start count, by the number of their tail. Pure; numpy does the adding.

A tail is a key and a label. TailSums are whole numbers of 64 bits, exact.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from app.counting.spec import Cells

SLOT_MASK = 0xFF  # of a cell: the windows of its row; what is above tells source partitions apart

Whole = np.ndarray[Any, np.dtype[np.int64]]
SlotRange = tuple[int, int]  # windows [first, last) of a row


class Pieces(NamedTuple):
    """What a range is put together from, in rows' starts, seconds since 1970.

    rows: {start: some of its windows, or None for all}. past: [begin, end) of whole rows, all of
    whose windows are over; (0, 0): none.
    """

    rows: dict[int, SlotRange | None]
    past: tuple[int, int]


def pieces(begin: int, end: int, window: int, row_windows: int, over: int) -> Pieces:
    """Return the pieces of [begin, end), both at a window's edge.

    over: rows that start before it hardly change. Times: seconds since 1970.
    """
    span = window * row_windows
    first, last = begin - begin % span, end - end % span
    whole = first if begin == first else first + span
    rows: dict[int, SlotRange | None] = {}
    if begin != first:
        rows[first] = (begin - first) // window, (min(end, first + span) - first) // window
    if end > max(last, whole):
        rows[last] = 0, (end - last) // window
    until = min(max(over - over % span, whole), max(last, whole))
    rows |= dict.fromkeys(range(until, last, span))
    return Pieces(rows, (whole, until) if until > whole else (0, 0))


class TailSums:
    """TailSums by the number of a tail; seen: whether there was anything to add at all."""

    def __init__(self, size: int) -> None:
        self.values: Whole = np.zeros(size, np.int64)
        self.seen = np.zeros(size, np.bool_)

    def add(self, ids: Any, values: Any) -> None:
        """Add a value to each of these numbers, which may be there more than once."""
        np.add.at(self.values, ids, values)
        self.seen[ids] = True

    def add_all(self, others: TailSums) -> None:
        """Add the sums of fewer or as many tails."""
        size = len(others.values)
        self.values[:size] += others.values
        self.seen[:size] |= others.seen

    def grow(self, size: int) -> None:
        """Make room for numbers below size."""
        if size > len(self.values):
            more = size - len(self.values)
            self.values = np.concatenate((self.values, np.zeros(more, np.int64)))
            self.seen = np.concatenate((self.seen, np.zeros(more, np.bool_)))


class RowColumns:
    """The rows of one start. detail: whether slices of it can be asked for.

    signs: cells of a window, as of the counter's measure.
    """

    def __init__(self, signs: int = 1, *, detail: bool) -> None:
        self.detail, self._signs = detail, signs
        self._parts = [self._columns({})]

    def __len__(self) -> int:
        return sum(len(part.ids) for part in self._parts)

    def add(self, rows: Mapping[int, Cells]) -> None:
        """Add rows of tails that are not there yet. rows: {number: cells}."""
        self._parts.append(self._columns(rows))

    def replace(self, rows: Mapping[int, Cells]) -> None:
        """Set rows of tails, whether they are there or not."""
        if not rows:
            return
        columns = self._joined()
        changed = np.fromiter(rows, np.int32, len(rows))
        old = np.zeros(1 + int(max(changed.max(), columns.ids.max(initial=0))), np.bool_)
        old[changed] = True
        kept = ~old[columns.ids]
        left = _TailColumns(*(column[kept] for column in columns))
        self._parts = [left, self._columns(rows)]

    def add_to(self, sums: TailSums, slots: SlotRange | None) -> None:
        """Add the windows [first, last), or all, to sums that have room for all numbers."""
        ids, at, values = self._joined()
        if slots is not None:
            chosen = (at >= slots[0]) & (at < slots[1])
            ids, values = ids[chosen], values[chosen]
        sums.add(ids, values)

    def _joined(self) -> _TailColumns:
        if len(self._parts) > 1:
            columns = (np.concatenate(column) for column in zip(*self._parts, strict=True))
            self._parts = [_TailColumns(*columns)]
        return self._parts[0]

    def _columns(self, rows: Mapping[int, Cells]) -> _TailColumns:
        ids = np.fromiter(rows, np.int32, len(rows))
        if not self.detail:
            values = total_of(rows.values(), self._signs)
            return _TailColumns(ids, np.zeros(len(ids), np.uint8), values)
        sizes = list(map(len, rows.values()))
        cells = sum(sizes)
        flat = np.fromiter(chain.from_iterable(rows.values()), np.int64, cells)
        counts = chain.from_iterable(map(dict.values, rows.values()))
        slots, values = flat & SLOT_MASK, np.fromiter(counts, np.int64, cells)
        if self._signs > 1:  # a window has a slot of what was added, and one of what was taken away
            values = np.where(slots & 1, -values, values)
        slots = (slots // self._signs).astype(np.uint8)
        return _TailColumns(np.repeat(ids, sizes), slots, values)


class _TailColumns(NamedTuple):
    ids: Any
    slots: Any
    values: Any


def total_of(rows: Iterable[Cells], signs: int) -> Whole:
    """Return the total of each of these cells; signs: of the counter's measure."""
    if signs == 1:
        return np.fromiter(map(sum, map(dict.values, rows)), np.int64)
    signed = ((-n if cell & 1 else n for cell, n in cells.items()) for cells in rows)
    return np.array([sum(values) for values in signed], np.int64)


def largest(keys: Sequence[bytes], sums: TailSums, limit: int) -> list[tuple[bytes, int]]:
    """Return the limit keys of the largest sums, the largest first, ties by key."""
    live = np.flatnonzero(sums.seen)
    if len(live) > limit:
        values = sums.values[live]
        least = np.partition(values, len(live) - limit)[len(live) - limit]
        above, ties = live[values > least].tolist(), live[values == least].tolist()
        tied = heapq.nsmallest(limit - len(above), ties, key=keys.__getitem__)
        chosen = above + tied
    else:
        chosen = live.tolist()
    found = [(keys[n], int(sums.values[n])) for n in chosen]
    return sorted(found, key=lambda one: (-one[1], one[0]))
