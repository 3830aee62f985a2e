"""What a counter is. Pure: no Faust, no I/O.

A row holds some consecutive windows of one counter, key and label: fewer rows cost less than
smaller ones (docs/internals/decisions/rows.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Literal
from zlib import crc32

from app.counting.measures import COUNT, Measure
from app.counting.row_keys import ExpiringKeys, PermanentKeys, RowKeys, keys_of
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
Of = Literal["human", "bot", "counted_click", "duplicate"]  # a field of Verdicts


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

    @cached_property
    def keys(self) -> RowKeys:
        """The keys of its rows."""
        return keys_of(self.number, expires=self.retention is not None)

    @cached_property
    def permanent_keys(self) -> PermanentKeys:
        """The same, of a counter whose rows are kept for good; raise TypeError for others."""
        if not isinstance(self.keys, PermanentKeys):
            raise TypeError(f"{self.name}: rows expire")
        return self.keys

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

    def expired_range(self, now: float) -> tuple[bytes, bytes] | None:
        """Return [begin, end) of the rows whose windows are all past the retention."""
        if self.retention is None or not isinstance(self.keys, ExpiringKeys) or not self.row_span:
            return None
        last = int(now) - self.retention - self.row_span
        end = max(0, last - last % self.row_span + self.row_span)
        return self.keys.before(end)


def counts_partition(key: bytes, partitions: int) -> int:
    """Return the partition of `counts` that owns a key; the one function of writer and reader."""
    return crc32(key) % partitions
