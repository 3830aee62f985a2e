"""Which keys were counted most in a window: sparse columns of counts, and their largest sums.

Pure; numpy does the adding. A block holds what the rows that begin at one time count; a window
is the sum of some whole blocks and of slices of those at its edges.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from app.counting.spec import Cells
from app.counting.stats_window import Run

SLOT_MASK = 0xFF  # of a cell: the windows of its row; what is above tells source partitions apart

Ids = np.ndarray[Any, np.dtype[np.int32]]
KeyT = TypeVar("KeyT", str, bytes)
Slots = np.ndarray[Any, np.dtype[np.uint8]]
Sums = np.ndarray[Any, np.dtype[np.float64]]  # whole numbers, exact up to 2^53


class RowSlice(NamedTuple):
    """Windows [first, last) of the rows that begin at start; None: all of them."""

    start: int
    slots: tuple[int, int] | None


def slices(run: Run, row_windows: int) -> list[RowSlice]:
    """Return the parts of rows that make up a run of buckets."""
    span = run.level.span
    row_span = span * row_windows
    found = []
    for start in range(run.begin - run.begin % row_span, run.end, row_span):
        first = max(0, (run.begin - start) // span)
        last = min(row_windows, (run.end - start) // span)
        whole = last - first == row_windows
        found.append(RowSlice(start, None if whole else (first, last)))
    return found


class KeyNumbers:
    """Keys by number, in the order in which they were first met."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self.numbers: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self.keys)

    def number(self, key: bytes) -> int:
        """Return the number of a key."""
        found = self.numbers.get(key)
        if found is None:
            found = self.numbers[key] = len(self.keys)
            self.keys.append(key)
        return found


class Block:
    """The counts of the rows that begin at one time.

    detail: whether slices can be asked for, or only the sum of all windows.
    """

    def __init__(self, *, detail: bool) -> None:
        self.detail = detail
        self._columns = NO_COLUMNS
        self._new: list[Columns] = []
        self._summed: tuple[tuple[int, int] | None, Sums] | None = None  # the last slice asked for

    def __len__(self) -> int:
        return len(self._columns.ids) + sum(len(new.ids) for new in self._new)

    def add(self, rows: Mapping[int, Cells]) -> None:
        """Add the counts of keys that the block does not have. rows: {number: cells}."""
        if rows:
            self._new.append(self._made_of(rows))
            self._summed = None

    def replace(self, rows: Mapping[int, Cells]) -> None:
        """Set the counts of keys, whether it has them or not. rows: {number: cells}."""
        if not rows:
            return
        columns, new = self._joined(), self._made_of(rows)
        changed = np.fromiter(rows, np.int32, len(rows))
        old = np.zeros(int(max(changed.max(), columns.ids.max(initial=0))) + 1, np.bool_)
        old[changed] = True
        self._columns = _join((columns.where(~old[columns.ids]), new))
        if self._summed is not None:
            slots, sums = self._summed
            sums = longer(sums, max(len(sums), len(old)))
            sums[changed] = 0
            self._summed = slots, sums + new.sums(slots, len(sums))

    def sums(self, slots: tuple[int, int] | None, size: int) -> Sums:
        """Return the sum of each key's windows [first, last), by its number.

        size: of the result; more than the largest number.
        """
        if self._summed is None or self._summed[0] != slots:
            self._summed = slots, self._joined().sums(slots, size)
        return longer(self._summed[1], size)

    def _joined(self) -> Columns:
        if self._new:
            self._columns, self._new = _join((self._columns, *self._new)), []
        return self._columns

    def _made_of(self, rows: Mapping[int, Cells]) -> Columns:
        ids = np.fromiter(rows, np.int32, len(rows))
        if not self.detail:
            counts = np.array([sum(cells.values()) for cells in rows.values()], np.float64)
            return Columns(ids, np.zeros(len(ids), np.uint8), counts)
        flat: list[int] = []
        values: list[int] = []
        for cells in rows.values():
            flat += cells
            values += cells.values()
        slots = (np.array(flat, np.int64) & SLOT_MASK).astype(np.uint8)
        sizes = [len(cells) for cells in rows.values()]
        return Columns(np.repeat(ids, sizes), slots, np.array(values, np.float64))


class Columns(NamedTuple):
    """Counts by the number of a key and the slot of a window."""

    ids: Ids
    slots: Slots
    counts: Sums

    def where(self, chosen: Any) -> Columns:
        """Return some of the rows."""
        return Columns(self.ids[chosen], self.slots[chosen], self.counts[chosen])

    def sums(self, slots: tuple[int, int] | None, size: int) -> Sums:
        """Return the sum of each key's windows [first, last); None: of all."""
        part = self
        if slots is not None:
            part = self.where((self.slots >= slots[0]) & (self.slots < slots[1]))
        return np.bincount(part.ids, part.counts, size).astype(np.float64, copy=False)


NO_COLUMNS = Columns(np.zeros(0, np.int32), np.zeros(0, np.uint8), np.zeros(0, np.float64))


def _join(columns: Sequence[Columns]) -> Columns:
    return Columns(*(np.concatenate(column) for column in zip(*columns, strict=True)))


def top(keys: Sequence[KeyT], sums: Sums, limit: int) -> list[tuple[KeyT, int]]:
    """Return the limit keys of the largest sums above 0, the largest first, ties by key."""
    live = np.flatnonzero(sums > 0)
    if len(live) > limit:
        values = sums[live]
        least = np.partition(values, len(live) - limit)[len(live) - limit]
        above, ties = live[values > least], live[values == least]
        tied = heapq.nsmallest(limit - len(above), ((keys[n], n) for n in ties.tolist()))
        live = np.concatenate((above, np.array([n for _, n in tied], live.dtype)))
    found = ((keys[n], int(sums[n])) for n in live.tolist())
    return sorted(found, key=rank_of)


def rank_of(counted: tuple[Any, int]) -> tuple[int, Any]:
    """Return what sorts (key, count): the largest count first, ties by key."""
    return -counted[1], counted[0]


def longer(sums: Sums, size: int) -> Sums:
    """Return sums with zeros at their end."""
    if len(sums) == size:
        return sums
    return np.concatenate((sums, np.zeros(size - len(sums))))
