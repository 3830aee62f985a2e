"""What a counter is, and the fold of events into rows of counts. Pure: no Faust, no I/O.

A row holds some consecutive windows of one counter, key and label: fewer rows cost less than
smaller ones (docs/decisions/rows.md).
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, repeat
from operator import attrgetter
from typing import Literal
from zlib import crc32

from app.batches import Judged, Slice
from app.event import Event
from app.event_names import ad_kind, page_name, website

ROW_WINDOWS = 24  # a day of hours
ROW_WINDOWS_MAX = 256  # a slot has eight bits in the totals
MINUTE = 60
HOUR = 3600
DAY = 86_400
FOREVER = 1 << 32  # seconds since 1970: the year 2106, where a row start's four bytes end

Cells = dict[int, int]  # slot of the window in its row -> count
Rows = dict[bytes, Cells]
Seen = tuple[str | None, str | None, int]  # key, label, windows of the group since 1970
Of = Literal["human", "bot", "counted_click"]  # a field of Judged
Group = tuple[Of, frozenset[str], "Dimension", "Dimension"]

_HEAD = struct.Struct(">BIH")  # number, row start, key length: rows that expire
_KEPT_HEAD = struct.Struct(">BH")  # number, key length; then key, row start, label
_START = struct.Struct(">I")


@dataclass(frozen=True)
class Dimension:
    """What events are counted by; get: event -> text, None leaves the event out."""

    name: str
    get: Callable[[Event], str | None]


def _of_url(name: Callable[[str], str]) -> Callable[[Event], str | None]:
    """Return what a function of the url gives; None where an event has none."""
    return lambda event: None if event.url is None else name(event.url)


URL = Dimension("url", attrgetter("url"))
TYPE = Dimension("type", attrgetter("type"))
USER = Dimension("user_id", attrgetter("user_id"))
WEBSITE = Dimension("website", _of_url(website))
PAGE = Dimension("page", _of_url(page_name))
AD = Dimension("ad_id", attrgetter("ad_id"))
AD_KIND = Dimension("ad_kind", ad_kind)
EVERYTHING = Dimension("", lambda _event: "")


@dataclass(frozen=True)
class CounterSpec:
    """A declared counter.

    number: 1-90, its tag in table keys, never used twice. window, retention: seconds; None: all
    time, for good. sum_of: the windowed counter whose rows add up to this all-time one.
    of: which events, by what the rules made of them. types: only these; none: all.
    row_windows: consecutive windows in a row.
    """

    number: int
    name: str
    description: str
    window: int | None
    retention: int | None
    key: Dimension
    label: Dimension
    sum_of: str = ""
    of: Of = "human"
    types: frozenset[str] = frozenset()
    row_windows: int = ROW_WINDOWS

    def __post_init__(self) -> None:
        if not 0 < self.row_windows <= ROW_WINDOWS_MAX:
            raise ValueError(f"{self.name}: {self.row_windows} windows in a row")

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
        self._groups: dict[Group, list[CounterSpec]] = {}
        for spec in sorted(self._specs.values(), key=lambda spec: spec.window or FOREVER):
            if not spec.sum_of:
                group = (spec.of, spec.types, spec.key, spec.label)
                self._groups.setdefault(group, []).append(spec)

    def __getitem__(self, name: str) -> CounterSpec:
        return self._specs[name]

    def __iter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204 - as Mapping says
        return iter(self._specs)

    def __len__(self) -> int:
        return len(self._specs)

    def layout(self) -> dict[int, int]:
        """Return {number: how its rows are laid out}; rows of another layout cannot be read."""
        return {
            number: (spec.row_windows - ROW_WINDOWS << 32)
            + (spec.window or 0) * 2
            + (spec.retention is None)
            for number, spec in self.by_number.items()
            if not spec.sum_of
        }

    def stored(self, name: str) -> CounterSpec:
        """Return the counter whose rows answer for this one."""
        spec = self._specs[name]
        return self._specs[spec.sum_of] if spec.sum_of else spec

    def fold(self, judged: Judged, now: float) -> Rows:
        """Return the rows that these events add up to.

        now: seconds since 1970, for what is too old for a counter.
        """
        rows: Rows = {}
        for (of, types, key, label), specs in self._groups.items():
            part: Slice = getattr(judged, of)
            events, times = part.events, part.times
            if types:
                chosen = [event.type in types for event in events]
                events, times = list(compress(events, chosen)), list(compress(times, chosen))
            if events:
                # Counted once by the smallest window; what is larger adds those up.
                unit = specs[0].window or DAY
                keys = repeat("") if key is EVERYTHING else map(key.get, events)
                labels = repeat("") if label is EVERYTHING else map(label.get, events)
                units = [int(time) // unit for time in times]
                _spread_all(specs, Counter(zip(keys, labels, units, strict=False)), now, rows)
        return rows


def _spread_all(
    specs: Sequence[CounterSpec], seen: Mapping[Seen, int], now: float, rows: Rows
) -> None:
    """Add counts to the rows of counters, which are sorted by window.

    seen: counts by the first one's windows.
    """
    unit = specs[0].window or DAY
    for spec in specs:
        if (window := spec.window or unit) != unit:
            seen, unit = _coarser(seen, window // unit), window
        _spread(spec, seen, unit, now, rows)


def _coarser(seen: Mapping[Seen, int], times: int) -> Mapping[Seen, int]:
    """Return counts by windows that are so many times as large."""
    found: dict[Seen, int] = {}
    for (key, label, at), count in seen.items():
        place = key, label, at // times
        found[place] = found.get(place, 0) + count
    return found


def _spread(spec: CounterSpec, seen: Mapping[Seen, int], unit: int, now: float, rows: Rows) -> None:
    """Add counts to the rows of one counter; unit: the seconds that they are counted by."""
    places = {
        at: spec.place(at * unit)
        for at in {at for _, _, at in seen}
        if not spec.too_old(at * unit, now)
    }
    if not places:
        return
    found: dict[Seen, Cells] = {}
    for (key, label, at), count in seen.items():
        if key is None or label is None or at not in places:
            continue
        start, slot = places[at]
        cells = found.get((key, label, start))
        if cells is None:
            found[key, label, start] = {slot: count}
        else:
            cells[slot] = cells.get(slot, 0) + count
    row_of = spec.row
    rows.update((row_of(key, start, label), cells) for (key, label, start), cells in found.items())  # type: ignore[arg-type]


def row_key(row: bytes, spec: CounterSpec) -> bytes:
    """Return the counted key of a row, in UTF-8."""
    head = _KEPT_HEAD if spec.retention is None else _HEAD
    size = head.unpack_from(row)[-1]
    return row[head.size : head.size + size]


def counts_partition(key: bytes, partitions: int) -> int:
    """Return the partition of `counts` that owns a key; the one function of writer and reader."""
    return crc32(key) % partitions
