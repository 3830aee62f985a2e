"""The keys of rows, byte by byte; nothing else knows how they are laid out. Pure.

A row that expires: number of the counter, row start, length of the key, key, label.
A row kept for good: number, length of the key, key, row start, label.
In `counts`: the row, source partition. A mark in `counts` and `uniques`: MARK, source partition.

What expires sorts by time, for one range delete; what stays sorts by key, for one scan. A tail is
a row without number and start: it is the same for all starts, in both layouts. A number has 1 byte,
a start 4 (s since 1970), a length and a source partition 2: big-endian, so that bytes sort as
numbers do. Numbers begin at 1: what a table keeps beside its rows begins with OWN.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence

OWN = b"\0"
MARK = OWN  # key of "merged up to"
SOURCE = struct.Struct(">H")  # source partition
ROW_PART = slice(None, -SOURCE.size)  # of a key in `counts`; faster than a function
SOURCE_PART = slice(-SOURCE.size, None)

START_PART = slice(None, 5)  # of a row that expires
KEY_PART = slice(7, None)  # of one without a label

_EXPIRING = struct.Struct(">BIH")
_PERMANENT = struct.Struct(">BH")
_START = struct.Struct(">I")
_LENGTH_SIZE = 2
_BEHIND_STARTS = b"\xff" * _START.size
_BEHIND_LABELS = b"\xff"  # in no UTF-8

RowParts = tuple[str, str, int]  # key, label, row start


class RowKeys(ABC):
    """Those of one counter. behind_key: behind run and key it sorts behind all rows of the key."""

    behind_key: bytes
    _head: struct.Struct  # all before the key; the length comes last

    def __init__(self, number: int) -> None:
        self.number = number
        # [first, end) are all rows.
        self.first, self.end = bytes((number,)), bytes((number + 1,))

    @abstractmethod
    def row(self, key: str, start: int, label: str) -> bytes:
        """Return a row; without its label, what the rows of all labels begin with."""

    @abstractmethod
    def rows(self, places: Iterable[RowParts]) -> Iterator[bytes]:
        """Iterate over row() of many places, in less than half its time."""

    @abstractmethod
    def parse(self, row: bytes) -> tuple[str, int, str]:
        """Return (key, row start, label)."""

    @abstractmethod
    def check(self, row: bytes) -> None:
        """Raise ValueError, or struct.error, where bytes are no row of this counter."""

    def key_of(self, row: bytes) -> bytes:
        """Return the key in UTF-8."""
        begin = self._head.size
        return row[begin : begin + self._head.unpack_from(row)[-1]]

    @abstractmethod
    def split(self, row: bytes) -> tuple[int, bytes]:
        """Return (row start, tail)."""

    @abstractmethod
    def split_all(self, rows: Sequence[bytes]) -> tuple[list[int], list[bytes]]:
        """Return the starts and the tails that split() makes, in half its time for each."""

    @abstractmethod
    def join(self, start: int, tail: bytes) -> bytes:
        """Return the row that split() takes apart."""

    def run_of(self, row: bytes) -> bytes:
        """Return what stands before the key: rows that share it sort by their key."""
        return row[: self._head.size]

    def start_from(self, start: int) -> bytes:  # noqa: ARG002 - they may sort by key
        """Return what sorts before all rows of a start and of later ones."""
        return self.first


class ExpiringKeys(RowKeys):
    """Of a counter whose rows expire: sorted by start, then by length of the key, then by key."""

    behind_key, _head = _BEHIND_LABELS, _EXPIRING

    def row(self, key: str, start: int, label: str) -> bytes:
        """As RowKeys."""
        text = key.encode()
        return _EXPIRING.pack(self.number, start, len(text)) + text + label.encode()

    def rows(self, places: Iterable[RowParts]) -> Iterator[bytes]:
        """As RowKeys."""
        heads = dict[int, bytes]()  # by start
        for key, label, start in places:
            text, head = key.encode(), heads.get(start)
            if head is None:
                head = heads[start] = self.start_from(start)
            yield head + len(text).to_bytes(_LENGTH_SIZE) + text + label.encode()

    def start_from(self, start: int) -> bytes:
        """As RowKeys; all rows of the start begin with it."""
        return self.first + _START.pack(start)

    def before(self, start: int) -> tuple[bytes, bytes]:
        """Return [begin, end) of the rows that start before a moment."""
        return _EXPIRING.pack(self.number, 0, 0), _EXPIRING.pack(self.number, start, 0)

    def parse(self, row: bytes) -> tuple[str, int, str]:
        """As RowKeys."""
        _, start, size = _EXPIRING.unpack_from(row)
        end = _EXPIRING.size + size
        return row[_EXPIRING.size : end].decode(), start, row[end:].decode()

    def check(self, row: bytes) -> None:
        """As RowKeys."""
        begin = _EXPIRING.size
        end = begin + _EXPIRING.unpack_from(row)[-1]
        if len(row) < end:
            raise ValueError(f"no row of counter {self.number}")
        row[begin:end].decode()
        row[end:].decode()

    def split(self, row: bytes) -> tuple[int, bytes]:
        """As RowKeys."""
        return int.from_bytes(row[1:5]), row[5:]

    def split_all(self, rows: Sequence[bytes]) -> tuple[list[int], list[bytes]]:
        """As RowKeys."""
        whole = int.from_bytes
        return [whole(row[1:5]) for row in rows], [row[5:] for row in rows]

    def join(self, start: int, tail: bytes) -> bytes:
        """As RowKeys."""
        return self.first + _START.pack(start) + tail


class PermanentKeys(RowKeys):
    """Of a counter whose rows are kept for good: sorted by length of the key, key and start."""

    behind_key, _head = _BEHIND_STARTS + _BEHIND_LABELS, _PERMANENT

    def row(self, key: str, start: int, label: str) -> bytes:
        """As RowKeys."""
        # Half the time of b"%b" for each.
        return self.with_key(key) + _START.pack(start) + label.encode()

    def rows(self, places: Iterable[RowParts]) -> Iterator[bytes]:
        """As RowKeys."""
        first, starts = self.first, dict[int, bytes]()
        for key, label, start in places:
            text, packed = key.encode(), starts.get(start)
            if packed is None:
                packed = starts[start] = _START.pack(start)
            yield first + len(text).to_bytes(_LENGTH_SIZE) + text + packed + label.encode()

    def with_key(self, key: str) -> bytes:
        """Return what all rows of a key begin with."""
        text = key.encode()
        return _PERMANENT.pack(self.number, len(text)) + text

    def parse(self, row: bytes) -> tuple[str, int, str]:
        """As RowKeys."""
        end = self.key_end(row)
        (start,) = _START.unpack_from(row, end)
        return row[_PERMANENT.size : end].decode(), start, row[end + _START.size :].decode()

    def check(self, row: bytes) -> None:
        """As RowKeys."""
        begin = _PERMANENT.size
        end = begin + _PERMANENT.unpack_from(row)[-1]
        label = end + _START.size
        if len(row) < label:
            raise ValueError(f"no row of counter {self.number}")
        row[begin:end].decode()
        row[label:].decode()

    def key_end(self, row: bytes) -> int:
        """Return the size of what with_key() makes of a row's key."""
        return 3 + (row[1] << 8 | row[2])

    def start_and_label(self, row: bytes, end: int) -> tuple[int, str]:
        """Return (row start, label); end: key_end()."""
        label = end + _START.size
        return int.from_bytes(row[end:label]), row[label:].decode()

    def start_and_unlabelled(self, row: bytes) -> tuple[int, bytes]:
        """Return (row start, tail without its label)."""
        end = 3 + (row[1] << 8 | row[2])
        return int.from_bytes(row[end : end + 4]), row[1:end]

    def split(self, row: bytes) -> tuple[int, bytes]:
        """As RowKeys."""
        end = 3 + (row[1] << 8 | row[2])
        return int.from_bytes(row[end : end + 4]), row[1:end] + row[end + 4 :]

    def split_all(self, rows: Sequence[bytes]) -> tuple[list[int], list[bytes]]:
        """As RowKeys."""
        whole = int.from_bytes
        ends = [3 + (row[1] << 8 | row[2]) for row in rows]
        pairs = list(zip(rows, ends, strict=True))
        starts = [whole(row[end : end + 4]) for row, end in pairs]
        return starts, [row[1:end] + row[end + 4 :] for row, end in pairs]

    def join(self, start: int, tail: bytes) -> bytes:
        """As RowKeys."""
        end = _LENGTH_SIZE + (tail[0] << 8 | tail[1])
        return self.first + tail[:end] + _START.pack(start) + tail[end:]

    def same_key(self, row: bytes, start: int) -> bytes:
        """Return what the rows of a row's key begin with at another start."""
        return row[: self.key_end(row)] + _START.pack(start)

    def next_key(self, row: bytes) -> bytes:
        """Return what sorts behind the rows of a row's key: none has the last start."""
        return row[: self.key_end(row)] + _BEHIND_STARTS


def keys_of(number: int, *, expires: bool) -> RowKeys:
    """Return those of a counter."""
    return ExpiringKeys(number) if expires else PermanentKeys(number)


def split_tail(tail: bytes) -> tuple[bytes, bytes]:
    """Return (key, label)."""
    end = _LENGTH_SIZE + (tail[0] << 8 | tail[1])
    return tail[_LENGTH_SIZE:end], tail[end:]


def unlabelled(tail: bytes) -> bytes:
    """Return a tail without its label."""
    return tail[: _LENGTH_SIZE + (tail[0] << 8 | tail[1])]


def key_size(run: bytes) -> int:
    """Return the length that all keys behind a run have."""
    return int.from_bytes(run[-_LENGTH_SIZE:])


def source_of(key: bytes) -> int:
    """Return the source partition of a key in `counts`."""
    return key[-2] << 8 | key[-1]


def mark_of(source: int) -> bytes:
    """Return the key of the mark of a source partition."""
    return MARK + SOURCE.pack(source)


def is_mark(key: bytes) -> bool:
    """Whether a key in `counts` or `uniques` is one of a mark."""
    return key[:1] == MARK


def source_of_mark(key: bytes) -> int:
    """Return the source partition of a mark; raise struct.error."""
    (source,) = SOURCE.unpack(key[len(MARK) :])
    return int(source)
