"""Reading the rows of many keys of a counter: by row start, or just their keys in order."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import chain, islice
from typing import Any

from app.counting.row_keys import ExpiringKeys, PermanentKeys, RowKeys, key_size, unlabelled
from app.counting.spec import FOREVER, CounterSpec

PROBE_ROWS = 2000
SPLIT_ROWS = 500  # at once
SPARSE = 4  # one row in so many lies in the range: then the others are passed over by seeking

ScannedRow = tuple[int, bytes, bytes]  # row start, tail, value


def rows_between(db: Any, spec: CounterSpec, begin: int, end: int) -> Iterator[ScannedRow]:
    """Iterate over the rows that start in [begin, end), in any order; 0: all time has no windows.

    Rows that expire are one range. Those kept for good lie by key: the range is a part of each.
    """
    keys = spec.keys
    if isinstance(keys, ExpiringKeys):
        until = keys.start_from(min(end, FOREVER - 1))
        yield from _scanned(keys, db.items(from_key=keys.start_from(begin)), until)
        return
    rows = iter(db.items(from_key=keys.first))
    probe = list(islice(rows, PROBE_ROWS))
    starts = [keys.split(row)[0] for row, _ in probe if row.startswith(keys.first)]
    inside = sum(begin <= start < end for start in starts)
    if len(probe) == PROBE_ROWS and inside * SPARSE < len(starts):
        yield from _seek_rows(db, spec.permanent_keys, begin, end)
        return
    for found in _scanned(keys, chain(probe, rows), keys.end):
        if begin <= found[0] < end:
            yield found


def _scanned(
    keys: RowKeys, rows: Iterator[tuple[bytes, bytes]], until: bytes
) -> Iterator[ScannedRow]:
    """Iterate over the rows before `until`."""
    while some := list(islice(rows, SPLIT_ROWS)):
        if some[-1][0] >= until:
            some = [pair for pair in some if pair[0] < until]
            rows = iter(())
        if some:
            names, values = zip(*some, strict=True)
            yield from zip(*keys.split_all(names), values, strict=True)


def _seek_rows(db: Any, keys: PermanentKeys, begin: int, end: int) -> Iterator[ScannedRow]:
    """As rows_between(), where most rows lie outside."""
    cursor = db.iter()
    cursor.seek(keys.first)
    while cursor.valid() and (row := cursor.key()).startswith(keys.first):
        start, tail = keys.split(row)
        if start < begin:
            cursor.seek(keys.same_key(row, begin))
        elif start >= end:
            cursor.seek(keys.next_key(row))
        else:
            yield start, tail, cursor.value()
            cursor.next()


def values_of(db: Any, spec: CounterSpec, tail: bytes, begin: int, end: int) -> list[bytes]:
    """Return the values of a tail's rows that start in [begin, end)."""
    keys = spec.keys
    if isinstance(keys, ExpiringKeys):
        starts = range(begin, end, spec.row_span)
        found = db.get([keys.join(start, tail) for start in starts]) if starts else []
        return [value for value in found if value is not None]
    some, found, cursor = unlabelled(tail), [], db.iter()
    cursor.seek(keys.join(begin, some))
    while cursor.valid() and (row := cursor.key()).startswith(keys.first + some):
        start, other = keys.split(row)
        if start >= end:
            break
        if other == tail:
            found.append(cursor.value())
        cursor.next()
    return found


class KeyRuns:
    """The keys of a counter in order, each once; those that are asked for.

    Rows sort by the length of their key first, and those that expire by their start before that.
    So there are some runs, each with its keys in order, and a cursor in each.
    """

    def __init__(self, db: Any, spec: CounterSpec, prefix: bytes, after: bytes | None) -> None:
        """after: only keys behind it."""
        self._db, self._keys, self._prefix, self._after = db, spec.keys, prefix, after
        self._heap: list[tuple[bytes, bytes, Any]] = []

    def keys(self, oldest: int) -> Iterator[bytes | None]:
        """Iterate over the keys; None: nothing yet, but some work. oldest: row start."""
        keys, cursor = self._keys, self._db.iter()
        cursor.seek(keys.start_from(oldest))
        while cursor.valid() and (row := cursor.key()).startswith(keys.first):
            run = keys.run_of(row)
            self._open(run)
            cursor.seek(_following(run))
            yield None
        last = None
        while self._heap:
            key, run, stream = heappop(self._heap)
            if key != last:
                yield key
            last = key
            stream.seek(run + key + keys.behind_key)
            self._put(run, stream)
            yield None

    def _open(self, run: bytes) -> None:
        size, after = key_size(run), self._after
        if size < len(self._prefix):
            return
        if after is None or after < self._prefix:
            first = self._prefix
        elif size <= len(after):
            first = after[:size] + self._keys.behind_key
        else:
            first = after
        stream = self._db.iter()
        stream.seek(run + first)
        self._put(run, stream)

    def _put(self, run: bytes, stream: Any) -> None:
        """Put the key that a cursor stands on into the heap, while the run has any."""
        if stream.valid() and (row := stream.key()).startswith(run + self._prefix):
            heappush(self._heap, (self._keys.key_of(row), run, stream))


def _following(run: bytes) -> bytes:
    """Return the first bytes behind all that begin with run."""
    return (int.from_bytes(run) + 1).to_bytes(len(run))
