"""How many different values a field of events has, by key, label and window: what to sketch. Pure.

A row of the table `uniques` is one window of one key and label. Its sketch is the same whichever
way its values came: in any order, again, from many partitions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from app.counting.groups import BatchColumns, Group, KeptKeys, LeftOut, chosen
from app.counting.spec import OTHER_KEY, TYPE, CounterSpec
from app.events.batches import Slice

RowValues = dict[bytes, set[str | None]]
NO_VALUES = {None, ""}
ValuePlace = tuple[str, str, int]  # key, label, window start in s since 1970


class DistinctFold:
    """Sorts the values of events into the rows of counters that measure distinct ones."""

    def __init__(self, specs: Iterable[CounterSpec]) -> None:
        self._groups = [(spec, Group(spec)) for spec in specs]

    def values(
        self,
        events: Slice,
        begun: Mapping[int, int],
        now: float,
        kept: KeptKeys,
        left_out: LeftOut | None = None,
    ) -> RowValues:
        """Return {row: values}; now: seconds since 1970, for what is too old.

        begun: {number: offset that a counter begins at}; one that is not in it counts all. kept:
        the keys of counters with most_keys. left_out: gets how many keys were not kept.
        """
        found: RowValues = {}
        whole = BatchColumns(events, kept)
        for spec, group in self._groups:
            columns, begin = whole, begun.get(spec.number, 0)
            if not events.events or events.offsets[-1] < begin:
                continue
            if events.offsets[0] < begin:
                columns = BatchColumns(events.between(begin - 1, events.offsets[-1]), kept)
            places = _by_place(spec, group, columns, now)
            _put(found, spec, places, kept, left_out)
        return found


def _by_place(
    spec: CounterSpec, group: Group, columns: BatchColumns, now: float
) -> dict[ValuePlace, set[str | None]]:
    """Return the values of a counter by key, label and window start."""
    get = spec.measure.get
    assert get is not None  # noqa: S101 - distinct ones are those of a field
    places, name, events = chosen(group, columns)
    seen: defaultdict[Any, set[Any]] = defaultdict(set)
    # Nothing is looked at for each event but this: a batch has few places, and many events.
    for at, value in zip(places, map(get, events), strict=True):
        seen[at].add(value)
    named = {name(at): values for at, values in seen.items()}
    starts = {
        unit: spec.place(unit * group.unit)[0]
        for unit in {unit for _, _, unit in named}
        if not spec.too_old(unit * group.unit, now)
    }
    others = columns.other_types if group.label.name == TYPE.name else ()
    found: dict[ValuePlace, set[str | None]] = {}
    for (key, label, unit), values in named.items():
        values -= NO_VALUES  # noqa: PLW2901
        if key is None or label is None or not values or unit not in starts:
            continue
        place = key, OTHER_KEY if label in others else label, starts[unit]
        if found.setdefault(place, values) is not values:
            found[place] |= values
    return found


def _put(
    found: RowValues,
    spec: CounterSpec,
    places: Mapping[ValuePlace, set[str | None]],
    kept: KeptKeys,
    left_out: LeftOut | None,
) -> None:
    """Add the rows of a counter, with OTHER_KEY in place of keys that are not kept."""
    keeps, others = kept.get(spec.number, ()) if spec.most_keys else None, set[str]()
    for (key, label, start), values in places.items():
        is_kept = keeps is None or key in keeps
        if not is_kept:
            others.add(key)
        row = spec.keys.row(key if is_kept else OTHER_KEY, start, label)
        if found.setdefault(row, values) is not values:
            found[row] |= values
    if others and left_out is not None:
        left_out[spec.name, OTHER_KEY] += len(others)
