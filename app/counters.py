"""What a counter is, and the fold of events into rows of counts. Pure: no Faust, no I/O.

A row holds ROW_WINDOWS consecutive windows of one counter, key and label: fewer rows cost less
than smaller ones (docs/decisions/rows.md).
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from operator import attrgetter
from zlib import crc32

from app.event import Event

ROW_WINDOWS = 24  # a day of hours
MINUTE = 60
HOUR = 3600
DAY = 86_400
FOREVER = 1 << 32  # seconds since 1970: the year 2106, where a row start's four bytes end

Cells = dict[int, int]  # slot of the window in its row -> count
Rows = dict[bytes, Cells]
Seen = tuple[str | None, str | None, int]  # key, label, minutes since 1970

_HEAD = struct.Struct(">BIH")  # number, row start, key length: rows that expire
_KEPT_HEAD = struct.Struct(">BH")  # number, key length; then key, row start, label
_START = struct.Struct(">I")


@dataclass(frozen=True)
class Dimension:
    """What events are counted by; get: event -> text, None leaves the event out."""

    name: str
    get: Callable[[Event], str | None]


URL = Dimension("url", attrgetter("url"))
TYPE = Dimension("type", attrgetter("type"))
EVERYTHING = Dimension("", lambda _event: "")


@dataclass(frozen=True)
class CounterSpec:
    """A declared counter.

    number: 1-90, its tag in table keys, never used twice. window, retention: seconds; None: all
    time, for good. sum_of: the windowed counter whose rows add up to this all-time one.
    """

    number: int
    name: str
    description: str
    window: int | None
    retention: int | None
    key: Dimension
    label: Dimension
    sum_of: str = ""

    @property
    def row_span(self) -> int:
        """Seconds of a row; 0: all time."""
        return self.window * ROW_WINDOWS if self.window else 0

    def place(self, time: int) -> tuple[int, int]:
        """Return (row start, slot) of a moment in seconds since 1970."""
        if not self.window:
            return 0, 0
        start = time - time % self.row_span
        return start, (time - start) // self.window

    def too_old(self, time: int, now: float) -> bool:
        """Whether the window of a moment lies outside the retention."""
        if self.window is None or self.retention is None:
            return False
        return time - time % self.window + self.window <= now - self.retention

    def row(self, key: str, start: int, label: str) -> bytes:
        """Return the table key of a row.

        What expires sorts by time, for one range delete; what stays sorts by key, for one scan.
        """
        text = key.encode()
        if self.retention is not None:
            return _HEAD.pack(self.number, start, len(text)) + text + label.encode()
        head = _KEPT_HEAD.pack(self.number, len(text))
        return b"%b%b%b%b" % (head, text, _START.pack(start), label.encode())

    def key_prefix(self, key: str, start: int) -> bytes:
        """Return what the rows of all labels of a key and row start begin with."""
        return self.row(key, start, "")

    def scan_prefix(self, key: str) -> bytes:
        """Return what all rows of a key begin with; only for counters kept for good."""
        text = key.encode()
        return _KEPT_HEAD.pack(self.number, len(text)) + text

    def parse(self, row: bytes) -> tuple[str, int, str]:
        """Return (key, row start, label) of a row of this counter."""
        if self.retention is not None:
            _, start, size = _HEAD.unpack_from(row)
            end = _HEAD.size + size
            return row[_HEAD.size : end].decode(), start, row[end:].decode()
        _, size = _KEPT_HEAD.unpack_from(row)
        end = _KEPT_HEAD.size + size
        (start,) = _START.unpack_from(row, end)
        return row[_KEPT_HEAD.size : end].decode(), start, row[end + _START.size :].decode()

    def expired_range(self, now: float) -> tuple[bytes, bytes] | None:
        """Return [begin, end) of the rows whose windows are all past the retention."""
        if self.retention is None or not self.row_span:
            return None
        last = int(now) - self.retention - self.row_span
        end = max(0, last - last % self.row_span + self.row_span)
        return _HEAD.pack(self.number, 0, 0), _HEAD.pack(self.number, end, 0)


class Counters(Mapping[str, CounterSpec]):
    """The declared counters by name."""

    def __init__(self, specs: Iterable[CounterSpec]) -> None:
        self._specs = {spec.name: spec for spec in specs}
        self.by_number = {spec.number: spec for spec in self._specs.values()}
        if len(self.by_number) != len(self._specs):
            raise ValueError("two counters share a number")
        self._groups: dict[tuple[Dimension, Dimension], list[CounterSpec]] = {}
        for spec in self._specs.values():
            if not spec.sum_of:
                self._groups.setdefault((spec.key, spec.label), []).append(spec)

    def __getitem__(self, name: str) -> CounterSpec:
        return self._specs[name]

    def __iter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204 - as Mapping says
        return iter(self._specs)

    def __len__(self) -> int:
        return len(self._specs)

    def layout(self) -> dict[int, int]:
        """Return {number: how its rows are laid out}; rows of another layout cannot be read."""
        return {
            number: (spec.window or 0) * 2 + (spec.retention is None)
            for number, spec in self.by_number.items()
            if not spec.sum_of
        }

    def stored(self, name: str) -> CounterSpec:
        """Return the counter whose rows answer for this one."""
        spec = self._specs[name]
        return self._specs[spec.sum_of] if spec.sum_of else spec

    def fold(self, events: Sequence[Event], now: float) -> Rows:
        """Return the rows that these events add up to.

        events: with timestamps. now: seconds since 1970, for what is too old for a counter.
        """
        minutes = [int(event.timestamp.timestamp()) // MINUTE for event in events]  # type: ignore[union-attr]
        rows: Rows = {}
        seen: Counter[Seen]
        for (key, label), specs in self._groups.items():
            keys = repeat("") if key is EVERYTHING else map(key.get, events)
            seen = Counter(zip(keys, map(label.get, events), minutes, strict=False))
            for spec in specs:
                _spread(spec, seen, now, rows)
        return rows


def _spread(spec: CounterSpec, seen: Mapping[Seen, int], now: float, rows: Rows) -> None:
    """Add counts to the rows of one counter."""
    places = {
        minute: spec.place(minute * MINUTE)
        for minute in {minute for _, _, minute in seen}
        if not spec.too_old(minute * MINUTE, now)
    }
    row_of = spec.row
    for (key, label, minute), count in seen.items():
        if key is None or label is None or minute not in places:
            continue
        start, slot = places[minute]
        row = row_of(key, start, label)
        cells = rows.get(row)
        if cells is None:
            rows[row] = {slot: count}
        else:
            cells[slot] = cells.get(slot, 0) + count


def row_key(row: bytes, spec: CounterSpec) -> bytes:
    """Return the counted key of a row, in UTF-8."""
    head = _KEPT_HEAD if spec.retention is None else _HEAD
    size = head.unpack_from(row)[-1]
    return row[head.size : head.size + size]


def counts_partition(key: bytes, partitions: int) -> int:
    """Return the partition of `counts` that owns a key; the one function of writer and reader."""
    return crc32(key) % partitions
