"""What the fold counts together: groups of counters, and what of a batch they look at. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import compress, islice, repeat

from app.counting.measures import micros_of_all
from app.counting.spec import OTHER_KEY, TYPE, TYPES, Cells, Condition, CounterSpec
from app.events.batches import Slice
from app.events.event import Event

ALL_TIME_UNIT = 86_400  # s; counters without windows are counted by the day, and no finer

GroupKey = tuple[str | None, str | None, int]  # key, label, windows since 1970
GroupCounts = Mapping[GroupKey, int]
GroupRows = dict[GroupKey, Cells]  # by key, label, row start
KeptKeys = Mapping[int, Container[str]]  # by number of the counter; others are OTHER_KEY
LeftOut = Counter[tuple[str, str]]  # by name of the counter, and code
TYPES_COUNTER = "events_by_type"


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
            found = self._pages[unit] = tally(urls, self.part.types, self.units(unit))
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


def chosen(
    group: Group, columns: BatchColumns
) -> tuple[Iterable[str | None], Iterable[str | None], list[int], Sequence[Event]]:
    """Return keys, labels, windows since 1970, and the events of a group that these are of."""
    part = columns.part
    events: Sequence[Event] = part.events
    types, units = part.types, columns.units(group.unit)
    if group.types or group.where:
        chosen = columns.chosen(group.types, group.where)
        events, types = list(compress(events, chosen)), list(compress(types, chosen))
        units = list(compress(units, chosen))
    keys = map(group.key.get, events) if group.key.name else repeat("")
    labels: Iterable[str | None] = repeat("")
    if group.label.name:
        labels = types if group.label.name == "type" else map(group.label.get, events)
    return keys, labels, units, events


def tally(
    keys: Iterable[str | None],
    labels: Iterable[str | None],
    units: Sequence[int],
    *,
    keyed: bool = True,
    labelled: bool = True,
) -> GroupCounts:
    """Return how often each key, label and window is there.

    keyed, labelled: whether they differ at all. Nearly always it is one window: what all have in
    common is no part of what is looked up for each event.
    """
    if len(set(units)) != 1:
        return Counter[GroupKey](zip(keys, labels, units, strict=False))
    at, many = units[0], len(units)
    if not labelled:
        return {(key, "", at): n for key, n in Counter(islice(keys, many)).items()}
    if not keyed:
        return {("", label, at): n for label, n in Counter(labels).items()}
    pairs = Counter(zip(keys, labels, strict=True))
    return {(key, label, at): n for (key, label), n in pairs.items()}


def added(
    group: Group, columns: BatchColumns, left_out: LeftOut
) -> tuple[GroupCounts, GroupCounts]:
    """Return millionths by key, label and window: what is added, and what is taken away."""
    get = group.measure.get
    more, less = defaultdict[GroupKey, int](int), defaultdict[GroupKey, int](int)
    assert get is not None  # noqa: S101 - a sum is one of a field
    keys, labels, units, events = chosen(group, columns)
    amounts = micros_of_all(list(map(get, events)))
    for place, micros in zip(zip(keys, labels, units, strict=False), amounts, strict=False):
        if isinstance(micros, int):
            if micros < 0:
                less[place] -= micros
            else:
                more[place] += micros
        elif micros is not None and place[0] is not None and place[1] is not None:
            left_out.update((spec.name, str(micros)) for spec in group.specs)
    return more, less


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
