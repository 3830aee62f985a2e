"""What a counter is, and the keys of its rows. Pure: no Faust, no I/O.

A row holds some consecutive windows of one counter, key and label: fewer rows cost less than
smaller ones (docs/internals/decisions/rows.md).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Literal
from zlib import crc32

from app.counting.measures import COUNT, Measure
from app.events.derived import ad_kind, page_name, website
from app.events.event import Event

ROW_WINDOWS = 24  # a day of hours
ROW_WINDOWS_MAX = 256  # a slot has eight bits in the totals
FIRST_DECLARED, LAST_DECLARED = 61, 250  # numbers of counters.toml
OTHER_KEY = "__other__"  # of all keys above most_keys, and types above most_types
TYPES = 4  # number of events_by_type; which types are kept is decided under it
MINUTE = 60
HOUR = 3600
DAY = 86_400
FOREVER = 1 << 32  # seconds since 1970: the year 2106, where a row start's four bytes end

Cells = dict[int, int]  # slot of the window in its row -> count
Rows = dict[bytes, Cells]
Of = Literal["human", "bot", "counted_click", "duplicate"]  # a field of Judged

_HEAD = struct.Struct(">BIH")  # number, row start, key length: rows that expire
_KEPT_HEAD = struct.Struct(">BH")  # number, key length; then key, row start, label
_EXPIRING = struct.Struct(">BI")  # number, row start; then key length, key, label
_START = struct.Struct(">I")


@dataclass(frozen=True)
class Dimension:
    """What events are counted by; get: event -> text, None leaves the event out.

    of_page: (url, type) -> the same, where these two are enough.
    """

    name: str
    get: Callable[[Event], str | None]
    of_page: Callable[[str | None, str], str | None] | None = None


def _by_url(name: str, of_url: Callable[[str], str]) -> Dimension:
    """Return the dimension that a function of the url gives; events without one are left out."""

    def of(url: str | None) -> str | None:
        return None if url is None else of_url(url)

    return Dimension(name, lambda event: of(event.url), lambda url, _type: of(url))


URL = Dimension("url", attrgetter("url"), lambda url, _type: url)
TYPE = Dimension("type", attrgetter("type"), lambda _url, name: name)
WEBSITE = _by_url("website", website)
PAGE = _by_url("page", page_name)
USER = Dimension("user_id", attrgetter("user_id"))
AD = Dimension("ad_id", attrgetter("ad_id"))
AD_KIND = Dimension("ad_kind", ad_kind)
EVERYTHING = Dimension("", lambda _event: "", lambda _url, _type: "")


@dataclass(frozen=True)
class Condition:
    """That an event has one of some values; get: event -> its value, None for none."""

    name: str
    get: Callable[[Event], object]
    values: frozenset[tuple[bool, object]]  # whether it is a truth value, which equals a number

    def holds(self, event: Event) -> bool:
        """Whether it does."""
        value = self.get(event)
        try:
            return (isinstance(value, bool), value) in self.values
        except TypeError:  # a list or an object
            return False


@dataclass(frozen=True)
class CounterSpec:
    """A declared counter.

    number: its tag in table keys, never used twice: 1-60 of ours, 61-250 of a counters.toml.
    window, retention: seconds; None: all time, for good. sum_of: the windowed counter whose rows
    add up to this all-time one. carried_by: the counter whose rows hold these counts, too, while
    they are few, see app.counting.carried. of: which events, by what the rules made of them. types:
    only these; none: all. row_windows: consecutive windows in a row. where: all of them must hold.
    measure: what is added up. most_keys: further keys are OTHER_KEY; 0: no limit.
    """

    number: int
    name: str
    description: str
    window: int | None
    retention: int | None
    key: Dimension
    label: Dimension
    sum_of: str = ""
    carried_by: str = ""
    of: Of = "human"
    types: frozenset[str] = frozenset()
    row_windows: int = ROW_WINDOWS
    where: tuple[Condition, ...] = ()
    measure: Measure = COUNT
    most_keys: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.row_windows * self.measure.signs <= ROW_WINDOWS_MAX:
            raise ValueError(f"{self.name}: {self.row_windows} windows in a row")

    @property
    def declared(self) -> bool:
        """Whether it is one of a counters.toml."""
        return self.number >= FIRST_DECLARED

    def matches(self, event: Event) -> bool:
        """Whether all conditions hold."""
        return all(condition.holds(event) for condition in self.where)

    def signed(self, start: int, slots: Iterable[tuple[int, int]]) -> dict[int, int]:
        """Return {window start: sum in millionths} of a row; slots: (slot, millionths).

        A window has a slot of what was added, and behind it one of what was taken away.
        """
        window, values = self.window or 0, dict[int, int]()
        for slot, micros in slots:
            begin = start + (slot >> 1) * window
            values[begin] = values.get(begin, 0) + (-micros if slot & 1 else micros)
        return values

    @property
    def row_span(self) -> int:
        """Seconds of a row; 0: all time."""
        return self.window * self.row_windows if self.window else 0

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
        return head + text + _START.pack(start) + label.encode()  # half the time of b"%b" for each

    def rows(self, places: Iterable[tuple[str, str, int]]) -> Iterator[bytes]:
        """Iterate over row() of many keys, labels and row starts, in less than half its time."""
        number, expires, starts = (
            bytes((self.number,)),
            self.retention is not None,
            dict[int, bytes](),
        )
        for key, label, start in places:
            text, packed = key.encode(), starts.get(start)
            if packed is None:
                packed = starts[start] = _START.pack(start)
            size = len(text).to_bytes(2)
            if expires:
                yield number + packed + size + text + label.encode()
            else:
                yield number + size + text + packed + label.encode()

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

    def check(self, row: bytes) -> None:
        """Raise ValueError, or struct.error, where bytes are no key of a row of this counter."""
        head = _KEPT_HEAD if self.retention is None else _HEAD
        end = head.size + head.unpack_from(row)[-1]
        label = end + (_START.size if self.retention is None else 0)
        if len(row) < label:
            raise ValueError(f"no row of {self.name}")
        row[head.size : end].decode()
        row[label:].decode()

    def prefix_size(self, row: bytes) -> int:
        """Return the size of what scan_prefix() makes of a row's key."""
        return _KEPT_HEAD.size + (row[1] << 8 | row[2])

    def start_and_label(self, row: bytes, size: int) -> tuple[int, str]:
        """Return (row start, label) of a row kept for good; size: prefix_size()."""
        end = size + _START.size
        return int.from_bytes(row[size:end]), row[end:].decode()

    def expired_range(self, now: float) -> tuple[bytes, bytes] | None:
        """Return [begin, end) of the rows whose windows are all past the retention."""
        if self.retention is None or not self.row_span:
            return None
        last = int(now) - self.retention - self.row_span
        end = max(0, last - last % self.row_span + self.row_span)
        return _HEAD.pack(self.number, 0, 0), _HEAD.pack(self.number, end, 0)


def row_key(row: bytes, spec: CounterSpec) -> bytes:
    """Return the counted key of a row, in UTF-8."""
    head = _KEPT_HEAD if spec.retention is None else _HEAD
    size = head.unpack_from(row)[-1]
    return row[head.size : head.size + size]


def row_start(row: bytes) -> int:
    """Return the start of a row kept for good."""
    end = _KEPT_HEAD.size + (row[1] << 8 | row[2])
    return int.from_bytes(row[end : end + _START.size])


def row_tail(row: bytes) -> bytes:
    """Return the key of a row kept for good as it stands in the rows that expire."""
    return row[1 : _KEPT_HEAD.size + (row[1] << 8 | row[2])]


def expiring_row(number: int, start: int, tail: bytes) -> bytes:
    """Return a row that expires, without a label; tail: row_tail()."""
    return _EXPIRING.pack(number, start) + tail


def counts_partition(key: bytes, partitions: int) -> int:
    """Return the partition of `counts` that owns a key; the one function of writer and reader."""
    return crc32(key) % partitions
