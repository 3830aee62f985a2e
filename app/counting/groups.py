"""What the fold counts together: groups of counters, and what of a batch they look at. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import compress, repeat
from typing import Any, NamedTuple

import numpy as np

from app.counting.measures import micros_of_all, sums_by_place
from app.counting.spec import OTHER_KEY, TYPE, TYPES, Cells, Condition, CounterSpec
from app.events.batches import Slice
from app.events.event import Event

ALL_TIME_UNIT = 86_400  # s; counters without windows are counted by the day, and no finer

GroupKey = tuple[str | None, str | None, int]  # key, label, windows since 1970
GroupCounts = Mapping[GroupKey, int]
GroupRows = dict[GroupKey, Cells]  # by key, label, row start
FullRows = Mapping[GroupKey, int]  # rows that carry no more seconds: the last one of each
KeptKeys = Mapping[int, Container[str]]  # by number of the counter; others are OTHER_KEY
LeftOut = Counter[tuple[str, str]]  # by name of the counter, and code
NO_KEYS: KeptKeys = {}
NONE_FULL: FullRows = {}
TYPES_COUNTER = "events_by_type"


class FoldState(NamedTuple):
    """What a fold goes by, beside the events.

    kept: the keys of counters with most_keys. left_out: gets how many events could not be added,
    and keys were not kept. full: rows whose later seconds are put into rows of their own.
    """

    kept: KeptKeys = NO_KEYS
    left_out: LeftOut | None = None
    full: FullRows = NONE_FULL


class Group:
    """Counters of the same events by the same key and label, smallest window first."""

    def __init__(self, spec: CounterSpec) -> None:
        self.of, self.types, self.key, self.label = spec.of, spec.types, spec.key, spec.label
        self.where, self.measure = spec.where, spec.measure
        self.limited = spec.number if spec.most_keys else 0
        self.unit = spec.window or ALL_TIME_UNIT
        self.specs: list[CounterSpec] = []

    @classmethod
    def same(cls, spec: CounterSpec) -> tuple[object, ...]:
        """Return what the counters of a group have in common."""
        limited = spec.number if spec.most_keys else 0
        return spec.of, spec.types, spec.where, spec.key, spec.label, spec.measure, limited

    @property
    def has_types(self) -> bool:
        """Whether events_by_type is one of them: it tells of types that are not kept."""
        return any(spec.number == TYPES for spec in self.specs)

    @property
    def follows_from_url_and_type(self) -> bool:
        """Whether a count by url and type tells all; what needs no url is counted faster alone."""
        of_page = bool(self.key.name and self.key.of_page and self.label.of_page)
        return of_page and not self.where and self.measure.kind == "count"


class BatchColumns:
    """The columns that groups share, each made when it is first asked for."""

    def __init__(self, part: Slice, kept: KeptKeys) -> None:
        self.part, self.kept = part, kept
        self._units: dict[int, list[int]] = {}
        self._pages: dict[int, GroupCounts] = {}
        self._chosen: dict[object, list[bool]] = {}

    @cached_property
    def other_types(self) -> set[str]:
        """The types that are not kept."""
        if (kept := self.kept.get(TYPES)) is None:
            return set()
        return {name for name in self.part.kinds if name not in kept}

    def chosen(self, types: frozenset[str], where: tuple[Condition, ...]) -> list[bool]:
        """Return for each event whether it has one of some types, if any, and meets conditions."""
        if not where:
            return self.part.of_types(types)
        found = self._chosen.get((types, where))
        if found is None:
            of_type: Iterable[bool] = self.part.of_types(types) if types else repeat(True)  # noqa: FBT003
            found = self._chosen[types, where] = [
                fits and all(condition.holds(event) for condition in where)
                for event, fits in zip(self.part.events, of_type, strict=False)
            ]
        return found

    def units(self, unit: int) -> list[int]:
        """Return the windows since 1970 of so many seconds that the events lie in."""
        found = self._units.get(unit)
        if found is None:
            found = self._units[unit] = (self.part.seconds // unit).tolist()
        return found

    def pages(self, unit: int) -> GroupCounts:
        """Return the counts by url, type and window."""
        found = self._pages.get(unit)
        if found is None:
            urls = [event.url for event in self.part.events]
            placed = _placed(urls, self.part.types, self.units(unit))
            found = self._pages[unit] = tally(Chosen(*placed, self.part.events))
        return found


def derived(group: Group, pages: GroupCounts) -> GroupCounts:
    """Return the counts of a group, from those by url and type."""
    key_of, label_of, types = group.key.of_page, group.label.of_page, group.types
    found: dict[GroupKey, int] = {}
    for (url, name, at), count in pages.items():
        if url is None or (types and name not in types):
            continue
        place = key_of(url, name), label_of(url, name), at  # type: ignore[misc, arg-type]
        found[place] = found.get(place, 0) + count
    return found


class Chosen(NamedTuple):
    """The events of a group. places: what differs of the place of each. name: of such a part."""

    places: Iterable[Any]
    name: Callable[[Any], GroupKey]
    events: Sequence[Event]


def chosen(group: Group, columns: BatchColumns) -> Chosen:
    """Return the events of a group, and where each is counted."""
    part = columns.part
    events: Sequence[Event] = part.events
    types, units = part.types, columns.units(group.unit)
    if group.types or group.where:
        fits = columns.chosen(group.types, group.where)
        events, types = list(compress(events, fits)), list(compress(types, fits))
        units = list(compress(units, fits))
    keys = map(group.key.get, events) if group.key.name else None
    labels: Iterable[str | None] | None = None
    if group.label.name:
        labels = types if group.label.name == TYPE.name else map(group.label.get, events)
    return Chosen(*_placed(keys, labels, units), events)


def _placed(
    keys: Iterable[str | None] | None, labels: Iterable[str | None] | None, units: Sequence[int]
) -> tuple[Iterable[Any], Callable[[Any], GroupKey]]:
    """Return what differs of keys, labels and windows, and what makes all three of it.

    None: all are empty. Nearly always there is one window: what all have in common is no part of
    what is looked up for each event.
    """
    if len(set(units)) > 1:
        return zip(keys or repeat(""), labels or repeat(""), units, strict=False), _whole
    at = units[0] if units else 0
    if labels is None:
        return keys or ("",) * len(units), lambda key: (key, "", at)
    if keys is None:
        return labels, lambda label: ("", label, at)
    return zip(keys, labels, strict=True), lambda pair: (*pair, at)


def _whole(place: GroupKey) -> GroupKey:
    return place


def tally(chosen: Chosen) -> GroupCounts:
    """Return the counts of a group."""
    return _named(Counter(chosen.places), chosen.name)


def added(
    group: Group, columns: BatchColumns, left_out: LeftOut
) -> tuple[GroupCounts, GroupCounts]:
    """Return millionths by key, label and window: what is added, and what is taken away."""
    get = group.measure.get
    assert get is not None  # noqa: S101 - a sum is one of a field
    places, name, events = chosen(group, columns)
    values = list(map(get, events))
    if None in values:
        has_one = [value is not None for value in values]
        places, values = compress(places, has_one), list(compress(values, has_one))
    amounts = micros_of_all(values)
    if isinstance(amounts, np.ndarray):
        more, less = sums_by_place(places, amounts)
        return _named(more, name), _named(less, name)
    more, less = defaultdict[Any, int](int), defaultdict[Any, int](int)
    for place, micros in zip(places, amounts, strict=True):
        if isinstance(micros, int):
            if micros < 0:
                less[place] -= micros
            else:
                more[place] += micros
        elif micros is not None and None not in name(place):
            left_out.update((spec.name, str(micros)) for spec in group.specs)
    return _named(more, name), _named(less, name)


def _named(counts: Mapping[Any, int], name: Callable[[Any], GroupKey]) -> GroupCounts:
    return {name(place): count for place, count in counts.items()}


def bounded(
    group: Group, seen: GroupCounts, columns: BatchColumns, left_out: LeftOut
) -> GroupCounts:
    """Return the same with OTHER_KEY in place of keys and types that are not kept."""
    if group.label.name == TYPE.name and (others := columns.other_types):
        if group.has_types:
            left_out[TYPES_COUNTER, OTHER_KEY] += len(others)
        seen = _renamed(
            (key, OTHER_KEY if label in others else label, at, count)
            for (key, label, at), count in seen.items()
        )
    if not group.limited:
        return seen
    keys = columns.kept.get(group.limited, ())
    others = {key for key, _, _ in seen if key is not None and key not in keys}
    if not others:
        return seen
    left_out[group.specs[0].name, OTHER_KEY] += len(others)
    return _renamed(
        (OTHER_KEY if key in others else key, label, at, count)
        for (key, label, at), count in seen.items()
    )


def _renamed(counts: Iterable[tuple[str | None, str | None, int, int]]) -> GroupCounts:
    found: dict[GroupKey, int] = {}
    for key, label, at, count in counts:
        place = key, label, at
        found[place] = found.get(place, 0) + count
    return found
