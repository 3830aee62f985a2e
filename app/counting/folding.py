"""The fold of events into rows of counts: each column of a batch is looked at as rarely as can be.

Counters of the same events, key and label are one group. It is counted once, by the smallest of
their windows, and the larger ones add that up. Groups that follow from url and type alone, as
website and page do, are taken from one count by url, type and window: 100 urls are 100 names to
take apart, however many events there are. Pure: no Faust, no I/O.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress, repeat

import numpy as np

from app.counting.spec import Cells, CounterSpec, Of, Rows
from app.events.batches import Judged, Slice
from app.events.event import Event

MANY = 256  # events, from which on numpy is faster
WINDOW_BITS = 33  # of a window since 1970; above them the number of a key
ALL_TIME_UNIT = 86_400  # s; counters without windows are counted by the day, and no finer

Place = tuple[str | None, str | None, int]  # key, label, windows since 1970
Seen = Mapping[Place, int]
Found = dict[Place, Cells]  # by key, label, row start


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
            columns = _BatchColumns(part)
            for group in groups:
                if group.types and not part.has_any(group.types):
                    continue
                fine = _fine(group, columns, now) if len(part.events) >= MANY else None
                seen = self._seen(group, columns) if fine is None else {}
                if seen or fine:
                    _spread_all(group, seen, fine, now, rows)
        return rows

    def _seen(self, group: Group, columns: _BatchColumns) -> Seen:
        """Return the counts of a group by key, label and window."""
        if group.follows_from_url_and_type and (group.of, group.unit) in self._shared:
            return _derived(group, columns.pages(group.unit))
        return _counted(group, columns)


class _BatchColumns:
    """The columns that groups share, each made when it is first asked for."""

    def __init__(self, part: Slice) -> None:
        self.part = part
        self._units: dict[int, list[int]] = {}
        self._pages: dict[int, Seen] = {}

    def units(self, unit: int) -> list[int]:
        """Return the windows since 1970 of so many seconds that the events lie in."""
        found = self._units.get(unit)
        if found is None:
            found = self._units[unit] = (self.part.seconds // unit).tolist()
        return found

    def pages(self, unit: int) -> Seen:
        """Return the counts by url, type and window."""
        found = self._pages.get(unit)
        if found is None:
            urls = [event.url for event in self.part.events]
            places = zip(urls, self.part.types, self.units(unit), strict=True)
            found = self._pages[unit] = Counter[Place](places)
        return found


def _counted(group: Group, columns: _BatchColumns) -> Seen:
    """Return the counts of a group, from its events."""
    part = columns.part
    events: Sequence[Event] = part.events
    types, units = part.types, columns.units(group.unit)
    if group.types:
        chosen = part.of_types(group.types)
        events, types = list(compress(events, chosen)), list(compress(types, chosen))
        units = list(compress(units, chosen))
    keys = map(group.key.get, events) if group.key.name else repeat("")
    labels: Iterable[str | None] = repeat("")
    if group.label.name:
        labels = types if group.label.name == "type" else map(group.label.get, events)
    return Counter[Place](zip(keys, labels, units, strict=False))


def _fine(group: Group, columns: _BatchColumns, now: float) -> Found | None:
    """Return the rows of the smallest window of a group that is counted by the second.

    Nearly each event is a count of its own then: sorting numbers is faster than a dict of places.
    None: it is another group, or something is too old.
    """
    spec, *wider = group.specs
    if spec.window != 1 or group.label.name or (wider and wider[0].window != spec.row_span):
        return None
    part = columns.part
    events, units = part.events, part.seconds
    if group.types:
        chosen = part.of_types(group.types)
        events, units = list(compress(events, chosen)), units[chosen]
    if spec.too_old(int(units.min()), now):
        return None
    keys = list(map(group.key.get, events))
    names = list(dict.fromkeys(keys))
    numbers = {name: number for number, name in enumerate(names)}
    ids = np.fromiter(map(numbers.__getitem__, keys), np.int64, len(keys))
    codes, many = np.unique(ids << WINDOW_BITS | units, return_counts=True)
    windows = codes & ((1 << WINDOW_BITS) - 1)
    slots = windows % spec.row_windows
    rows = codes - slots
    edges = [*(np.flatnonzero(np.diff(rows)) + 1).tolist(), len(rows)]
    starts, places = (windows - slots).tolist(), (codes >> WINDOW_BITS).tolist()
    slot_list, counts = slots.tolist(), many.tolist()
    found, begin = Found(), 0
    for end in edges:
        if (key := names[places[begin]]) is not None:
            cells = dict(zip(slot_list[begin:end], counts[begin:end], strict=True))
            found[key, "", starts[begin]] = cells
        begin = end
    return found


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


def _spread_all(group: Group, seen: Seen, fine: Found | None, now: float, rows: Rows) -> None:
    """Add counts, by windows of the group's unit, to the rows of its counters.

    fine: instead, the rows of the first counter.
    """
    unit, found, span = group.unit, fine, 0
    for spec in group.specs:
        if fine is not None and spec is group.specs[0]:
            _put(spec, fine, rows)
        else:
            if (window := spec.window or unit) != unit:
                whole = found is not None and window == span  # a row is a window of this counter
                seen = _summed(found or {}, window) if whole else _coarser(seen, window // unit)
                unit = window
            found = _spread(spec, seen, unit, now, rows)
        span = spec.row_span


def _summed(found: Found, window: int) -> Seen:
    """Return counts by windows as large as the rows are that were found."""
    return {
        (key, label, start // window): sum(cells.values())
        for (key, label, start), cells in found.items()
    }


def _coarser(seen: Seen, times: int) -> Seen:
    """Return counts by windows that are so many times as large."""
    found: dict[Place, int] = {}
    for (key, label, at), count in seen.items():
        place = key, label, at // times
        found[place] = found.get(place, 0) + count
    return found


def _spread(spec: CounterSpec, seen: Seen, unit: int, now: float, rows: Rows) -> Found | None:
    """Add counts to the rows of one counter; unit: the seconds that they are counted by.

    Return the rows by (key, label, start); None: something was too old for this counter.
    """
    units = {at for _, _, at in seen}
    places = {at: spec.place(at * unit) for at in units if not spec.too_old(at * unit, now)}
    if not places:
        return None
    found: Found = {}
    for (key, label, at), count in seen.items():
        if key is None or label is None or at not in places:
            continue
        start, slot = places[at]
        cells = found.get((key, label, start))
        if cells is None:
            found[key, label, start] = {slot: count}
        else:
            cells[slot] = cells.get(slot, 0) + count
    _put(spec, found, rows)
    return found if len(places) == len(units) else None


def _put(spec: CounterSpec, found: Found, rows: Rows) -> None:
    """Add the rows of a counter."""
    row_of = spec.row
    rows.update((row_of(key, start, label), cells) for (key, label, start), cells in found.items())  # type: ignore[arg-type]
