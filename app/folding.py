"""The fold of events into rows of counts: each column of a batch is looked at as rarely as can be.

Counters of the same events, key and label are one group. It is counted once, by the smallest of
their windows, and the larger ones add that up. Groups that follow from url and type alone, as
website and page do, are taken from one count by url, type and window: 100 urls are 100 names to
take apart, however many events there are. Pure: no Faust, no I/O.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, repeat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.batches import Judged, Slice
    from app.counters import CounterSpec, Of
    from app.event import Event

ALL_TIME_UNIT = 86_400  # s; counters without windows are counted by the day, and no finer

Cells = dict[int, int]  # slot of the window in its row -> count
Rows = dict[bytes, Cells]
Place = tuple[str | None, str | None, int]  # key, label, windows since 1970
Seen = Mapping[Place, int]


@dataclass(frozen=True)
class Dimension:
    """What events are counted by; get: event -> text, None leaves the event out.

    of_page: (url, type) -> the same, where these two are enough.
    """

    name: str
    get: Callable[[Event], str | None]
    of_page: Callable[[str | None, str], str | None] | None = None


class Group:
    """Counters of the same events by the same key and label, smallest window first."""

    def __init__(self, spec: CounterSpec) -> None:
        self.of, self.types, self.key, self.label = spec.of, spec.types, spec.key, spec.label
        self.unit = spec.window or ALL_TIME_UNIT
        self.specs: list[CounterSpec] = []

    @property
    def follows_from_url_and_type(self) -> bool:
        """Whether a count by url and type tells all; what needs no url is counted faster alone."""
        return bool(self.key.name and self.key.of_page and self.label.of_page)


class Fold:
    """Folds events into the rows of counters."""

    def __init__(self, specs: Iterable[CounterSpec]) -> None:
        groups: dict[tuple[object, ...], Group] = {}
        for spec in sorted(specs, key=lambda spec: spec.window or 1 << 32):
            same = spec.of, spec.types, spec.key, spec.label
            groups.setdefault(same, Group(spec)).specs.append(spec)
        self._groups: dict[Of, list[Group]] = {}
        for group in groups.values():
            self._groups.setdefault(group.of, []).append(group)
        pages = Counter((g.of, g.unit) for g in groups.values() if g.follows_from_url_and_type)
        self._shared = {place for place, many in pages.items() if many > 1}

    def rows(self, judged: Judged, now: float) -> Rows:
        """Return the rows that the events add up to; now: s since 1970, for what is too old."""
        rows: Rows = {}
        for of, groups in self._groups.items():
            part: Slice = getattr(judged, of)
            if not part.events:
                continue
            columns = _Columns(part)
            for group in groups:
                if group.follows_from_url_and_type and (of, group.unit) in self._shared:
                    seen = _derived(group, columns.pages(group.unit))
                else:
                    seen = _counted(group, columns)
                if seen:
                    _spread_all(group.specs, seen, group.unit, now, rows)
        return rows


class _Columns:
    """The columns of some events, each made when it is first asked for."""

    def __init__(self, part: Slice) -> None:
        self.events = part.events
        self._times = part.times
        self.types = [event.type for event in part.events]
        self._units: dict[int, list[int]] = {}
        self._pages: dict[int, Seen] = {}

    def units(self, unit: int) -> list[int]:
        """Return the windows since 1970 of so many seconds that the events lie in."""
        found = self._units.get(unit)
        if found is None:
            found = self._units[unit] = [int(time) // unit for time in self._times]
        return found

    def pages(self, unit: int) -> Seen:
        """Return the counts by url, type and window."""
        found = self._pages.get(unit)
        if found is None:
            urls = [event.url for event in self.events]
            places = zip(urls, self.types, self.units(unit), strict=True)
            found = self._pages[unit] = Counter[Place](places)
        return found


def _counted(group: Group, columns: _Columns) -> Seen:
    """Return the counts of a group, from its events."""
    events: Sequence[Event] = columns.events
    units: Sequence[int] = columns.units(group.unit)
    types: Sequence[str] = columns.types
    if group.types:
        chosen = [name in group.types for name in types]
        events, units = list(compress(events, chosen)), list(compress(units, chosen))
        types = list(compress(types, chosen))
    keys = map(group.key.get, events) if group.key.name else repeat("")
    labels: Iterable[str | None] = repeat("")
    if group.label.name:
        labels = types if group.label.name == "type" else map(group.label.get, events)
    return Counter[Place](zip(keys, labels, units, strict=False))


def _derived(group: Group, pages: Seen) -> Seen:
    """Return the counts of a group, from those by url and type."""
    key_of, label_of, types = group.key.of_page, group.label.of_page, group.types
    found: dict[Place, int] = {}
    for (url, name, at), count in pages.items():
        if url is None or (types and name not in types):
            continue
        place = key_of(url, name), label_of(url, name), at  # type: ignore[misc, arg-type]
        found[place] = found.get(place, 0) + count
    return found


def _spread_all(
    specs: Sequence[CounterSpec], seen: Seen, unit: int, now: float, rows: Rows
) -> None:
    """Add counts, by windows of `unit` seconds, to the rows of counters sorted by window."""
    for spec in specs:
        if (window := spec.window or unit) != unit:
            seen, unit = _coarser(seen, window // unit), window
        _spread(spec, seen, unit, now, rows)


def _coarser(seen: Seen, times: int) -> Seen:
    """Return counts by windows that are so many times as large."""
    found: dict[Place, int] = {}
    for (key, label, at), count in seen.items():
        place = key, label, at // times
        found[place] = found.get(place, 0) + count
    return found


def _spread(spec: CounterSpec, seen: Seen, unit: int, now: float, rows: Rows) -> None:
    """Add counts to the rows of one counter; unit: the seconds that they are counted by."""
    places = {
        at: spec.place(at * unit)
        for at in {at for _, _, at in seen}
        if not spec.too_old(at * unit, now)
    }
    if not places:
        return
    found: dict[Place, Cells] = {}
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
