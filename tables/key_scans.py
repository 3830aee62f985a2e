"""Reading the rows of many keys of a counter: by row start, or just their keys in order.

A tail is a row's key without counter and start: length of the key, key, label. It is the same for
all starts, whichever way the rows sort.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from itertools import chain, islice
from typing import Any

from app.counting.spec import FOREVER, CounterSpec, expiring_row

PROBE_ROWS = 2000
SPLIT_ROWS = 500  # at once
SPARSE = 4  # one row in so many lies in the range: then the others are passed over by seeking

_LENGTH = struct.Struct(">H")
_START = struct.Struct(">I")
_BEHIND_STARTS = b"\xff" * _START.size
_EXPIRING_HEAD = 5  # number, row start; then a tail

ScannedRow = tuple[int, bytes, bytes]  # row start, tail, value


def split_row(spec: CounterSpec, row: bytes) -> tuple[int, bytes]:
    """Return (row start, tail) of a row of this counter."""
    if spec.retention is not None:
        return int.from_bytes(row[1:_EXPIRING_HEAD]), row[_EXPIRING_HEAD:]
    at = 3 + (row[1] << 8 | row[2])
    return int.from_bytes(row[at : at + 4]), row[1:at] + row[at + 4 :]


def split_rows(spec: CounterSpec, rows: Sequence[bytes]) -> tuple[list[int], list[bytes]]:
    """Return the starts and the tails that split_row() makes, in half its time for each."""
    whole = int.from_bytes
    if spec.retention is not None:
        head = _EXPIRING_HEAD
        return [whole(row[1:head]) for row in rows], [row[head:] for row in rows]
    ends = [3 + (row[1] << 8 | row[2]) for row in rows]
    pairs = list(zip(rows, ends, strict=True))
    starts = [whole(row[end : end + 4]) for row, end in pairs]
    return starts, [row[1:end] + row[end + 4 :] for row, end in pairs]


def join_row(spec: CounterSpec, start: int, tail: bytes) -> bytes:
    """Return the row that split_row() makes (row start, tail) of."""
    if spec.retention is not None:
        return expiring_row(spec.number, start, tail)
    end = 2 + (tail[0] << 8 | tail[1])
    return bytes((spec.number,)) + tail[:end] + _START.pack(start) + tail[end:]


def split_tail(tail: bytes) -> tuple[bytes, bytes]:
    """Return (key, label)."""
    end = 2 + (tail[0] << 8 | tail[1])
    return tail[2:end], tail[end:]


def rows_between(db: Any, spec: CounterSpec, begin: int, end: int) -> Iterator[ScannedRow]:
    """Iterate over the rows that start in [begin, end), in any order; 0: all time has no windows.

    Rows that expire are one range. Those kept for good lie by key: the range is a part of each.
    """
    number = bytes((spec.number,))
    if spec.retention is not None:
        until = number + _START.pack(min(end, FOREVER - 1))
        yield from _scanned(spec, db.items(from_key=number + _START.pack(begin)), until)
        return
    rows = iter(db.items(from_key=number))
    probe = list(islice(rows, PROBE_ROWS))
    starts = [split_row(spec, row)[0] for row, _ in probe if row.startswith(number)]
    inside = sum(begin <= start < end for start in starts)
    if len(probe) == PROBE_ROWS and inside * SPARSE < len(starts):
        yield from _seek_rows(db, spec, begin, end)
        return
    for found in _scanned(spec, chain(probe, rows), bytes((spec.number + 1,))):
        if begin <= found[0] < end:
            yield found


def _scanned(
    spec: CounterSpec, rows: Iterator[tuple[bytes, bytes]], until: bytes
) -> Iterator[ScannedRow]:
    """Iterate over the rows before `until`."""
    while some := list(islice(rows, SPLIT_ROWS)):
        if some[-1][0] >= until:
            some = [pair for pair in some if pair[0] < until]
            rows = iter(())
        if some:
            names, values = zip(*some, strict=True)
            yield from zip(*split_rows(spec, names), values, strict=True)


def _seek_rows(db: Any, spec: CounterSpec, begin: int, end: int) -> Iterator[ScannedRow]:
    """As rows_between(), of rows kept for good, most of which lie outside."""
    number, cursor, first = bytes((spec.number,)), db.iter(), _START.pack(begin)
    cursor.seek(number)
    while cursor.valid() and (row := cursor.key()).startswith(number):
        start, tail = split_row(spec, row)
        prefix = row[: spec.prefix_size(row)]
        if start < begin:
            cursor.seek(prefix + first)
        elif start >= end:
            cursor.seek(prefix + _BEHIND_STARTS)
        else:
            yield start, tail, cursor.value()
            cursor.next()


def values_of(db: Any, spec: CounterSpec, tail: bytes, begin: int, end: int) -> list[bytes]:
    """Return the values of a tail's rows that start in [begin, end)."""
    if spec.retention is not None:
        number, starts = bytes((spec.number,)), range(begin, end, spec.row_span)
        found = db.get([number + _START.pack(start) + tail for start in starts]) if starts else []
        return [value for value in found if value is not None]
    prefix = bytes((spec.number,)) + tail[: 2 + (tail[0] << 8 | tail[1])]
    found, cursor = [], db.iter()
    cursor.seek(prefix + _START.pack(begin))
    while cursor.valid() and (row := cursor.key()).startswith(prefix):
        start, other = split_row(spec, row)
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
        self._db, self._spec, self._prefix, self._after = db, spec, prefix, after
        self._head = 1 if spec.retention is None else _EXPIRING_HEAD
        self._behind = (_BEHIND_STARTS if spec.retention is None else b"") + b"\xff"
        self._heap: list[tuple[bytes, bytes, Any]] = []

    def keys(self, oldest: int) -> Iterator[bytes | None]:
        """Iterate over the keys; None: nothing yet, but some work. oldest: row start."""
        spec, cursor = self._spec, self._db.iter()
        expires = spec.retention is not None
        cursor.seek(bytes((spec.number,)) + (_START.pack(oldest) if expires else b""))
        while cursor.valid() and (row := cursor.key())[0] == spec.number:
            run = row[: self._head + _LENGTH.size]  # number, start where rows expire, length
            self._open(run)
            cursor.seek(_following(run))
            yield None
        last = None
        while self._heap:
            key, run, stream = heappop(self._heap)
            if key != last:
                yield key
            last = key
            stream.seek(run + key + self._behind)
            self._put(run, stream)
            yield None

    def _open(self, run: bytes) -> None:
        size, after = int.from_bytes(run[self._head :]), self._after
        if size < len(self._prefix):
            return
        if after is None or after < self._prefix:
            first = self._prefix
        elif size <= len(after):
            first = after[:size] + self._behind
        else:
            first = after
        stream = self._db.iter()
        stream.seek(run + first)
        self._put(run, stream)

    def _put(self, run: bytes, stream: Any) -> None:
        """Put the key that a cursor stands on into the heap, while the run has any."""
        if stream.valid() and (row := stream.key()).startswith(run + self._prefix):
            size = int.from_bytes(run[self._head :])
            heappush(self._heap, (row[len(run) : len(run) + size], run, stream))


def _following(run: bytes) -> bytes:
    """Return the first bytes behind all that begin with run."""
    return (int.from_bytes(run) + 1).to_bytes(len(run))
