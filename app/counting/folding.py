"""The fold of events into rows of counts: each column of a batch is looked at as rarely as can be.

Counters of the same events, key, label and measure are one group. It is counted once, by the
smallest of their windows, and the larger ones add that up. Groups that follow from url and type
alone, as website and page do, are taken from one count by url, type and window: 100 urls are 100
names to take apart, however many events there are. Pure: no Faust, no I/O.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress
from typing import TypeVar

import numpy as np

from app.counting.carried import FINE, Carried
from app.counting.groups import (
    BatchColumns,
    Group,
    GroupCounts,
    GroupKey,
    GroupRows,
    KeptKeys,
    LeftOut,
    added,
    bounded,
    chosen,
    derived,
    tally,
)
from app.counting.spec import OTHER_KEY, Cells, CounterSpec, Of, Rows
from app.events.batches import Judged, Slice

MANY = 256  # events, from which on numpy is faster
WINDOW_BITS = 33  # of a window since 1970; above them the number of a key

NameT = TypeVar("NameT")


class Fold:
    """Folds events into the rows of counters."""

    def __init__(self, specs: Iterable[CounterSpec], carried: Carried | None = None) -> None:
        self._carried = carried
        if carried is not None:
            specs = [spec for spec in specs if spec not in carried.levels]
        groups: dict[tuple[object, ...], Group] = {}
        for spec in sorted(specs, key=lambda spec: spec.window or 1 << 32):
            groups.setdefault(Group.same(spec), Group(spec)).specs.append(spec)
        self._groups: dict[Of, list[Group]] = {}
        for group in groups.values():
            self._groups.setdefault(group.of, []).append(group)
        pages = Counter((g.of, g.unit) for g in groups.values() if g.follows_from_url_and_type)
        self._shared = {place for place, many in pages.items() if many > 1}

    def rows(
        self, judged: Judged, now: float, kept: KeptKeys, left_out: LeftOut | None = None
    ) -> Rows:
        """Return the rows that the events add up to; now: s since 1970, for what is too old.

        left_out: gets how many events could not be added, and keys were not kept.
        """
        rows: Rows = {}
        left = LeftOut() if left_out is None else left_out
        for of, groups in self._groups.items():
            part: Slice = getattr(judged, of)
            if not part.events:
                continue
            columns = BatchColumns(part, kept)
            for group in groups:
                if group.types and not part.has_any(group.types):
                    continue
                if group.measure.kind == "sum":
                    amounts = added(group, columns, left)
                    for sign, seen in enumerate(amounts):
                        if seen:
                            _spread_all(
                                group, bounded(group, seen, columns, left), None, now, rows, sign
                            )
                    continue
                fine = _fine(group, columns, now) if len(part.events) >= MANY else None
                seen = self._seen(group, columns) if fine is None else {}
                if seen or fine:
                    made = _spread_all(group, bounded(group, seen, columns, left), fine, now, rows)
                    if (carried := self._carried) is not None and carried.base.number in made:
                        _carry(made[carried.base.number] or {}, columns, carried)
        return rows

    def _seen(self, group: Group, columns: BatchColumns) -> GroupCounts:
        """Return the counts of a group by key, label and window."""
        if group.follows_from_url_and_type and (group.of, group.unit) in self._shared:
            return derived(group, columns.pages(group.unit))
        return tally(chosen(group, columns))


def _fine(group: Group, columns: BatchColumns, now: float) -> GroupRows | None:
    """Return the rows of the smallest window of a group that is counted by the second.

    Nearly each event is a count of its own then: sorting numbers is faster than a dict of places.
    None: it is another group, or something is too old.
    """
    spec, *wider = group.specs
    if (
        spec.declared
        or spec.window != 1
        or group.label.name
        or (wider and wider[0].window != spec.row_span)
    ):
        return None
    part = columns.part
    events, units = part.events, part.seconds
    if group.types:
        chosen = part.of_types(group.types)
        events, units = list(compress(events, chosen)), units[chosen]
    if spec.too_old(int(units.min()), now):
        return None
    keys = list(map(group.key.get, events))
    return {
        (key, "", start): cells
        for key, start, cells in _by_second(keys, units, spec.row_windows)
        if key is not None
    }


def _by_second(
    keys: Sequence[NameT], seconds: np.ndarray, row_seconds: int, first_slot: int = 0
) -> Iterator[tuple[NameT, int, Cells]]:
    """Yield (key, row start, cells) of rows of so many seconds; first_slot: of the first one.

    The cells of a row are in the order that they first came in.
    """
    names = list(dict.fromkeys(keys))
    numbers = {name: number for number, name in enumerate(names)}
    ids = np.fromiter(map(numbers.__getitem__, keys), np.int64, len(keys))
    codes, at, many = np.unique(ids << WINDOW_BITS | seconds, return_index=True, return_counts=True)
    windows = codes & ((1 << WINDOW_BITS) - 1)
    slots = windows % row_seconds
    rows = codes - slots
    order = np.lexsort((at, rows))
    edges = [*(np.flatnonzero(np.diff(rows)) + 1).tolist(), len(rows)]
    starts, places = (windows - slots).tolist(), (codes >> WINDOW_BITS).tolist()
    slot_list, counts, begin = (slots[order] + first_slot).tolist(), many[order].tolist(), 0
    for end in edges:
        cells = dict(zip(slot_list[begin:end], counts[begin:end], strict=True))
        yield names[places[begin]], starts[begin], cells
        begin = end


def _carry(found: GroupRows, columns: BatchColumns, carried: Carried) -> None:
    """Add the seconds of events to the rows that carry them, behind their windows."""
    part, others = columns.part, columns.other_types
    if not part.has_any(carried.types):
        return
    chosen = part.of_types(carried.types)
    urls = (event.url for event in compress(part.events, chosen))
    names = list(compress(part.types, chosen))
    if not others.isdisjoint(carried.types):
        names = [OTHER_KEY if name in others else name for name in names]
    pairs = list(zip(urls, names, strict=True))
    for (url, name), start, cells in _by_second(
        pairs, part.seconds[chosen], carried.base.row_span, FINE
    ):
        if url is not None:
            found[url, name, start].update(cells)


def _spread_all(
    group: Group, seen: GroupCounts, fine: GroupRows | None, now: float, rows: Rows, sign: int = 0
) -> dict[int, GroupRows | None]:
    """Add counts, by windows of the group's unit, to the rows of its counters; return these.

    fine: instead, the rows of the first counter. sign: of a sum, 1 for what is taken away.
    """
    unit, found, span = group.unit, fine, 0
    made: dict[int, GroupRows | None] = {}
    for spec in group.specs:
        if fine is not None and spec is group.specs[0]:
            _put(spec, fine, rows)
        else:
            if (window := spec.window or unit) != unit:
                whole = found is not None and window == span  # a row is a window of this counter
                seen = _summed(found or {}, window) if whole else _coarser(seen, window // unit)
                unit = window
            found = made[spec.number] = _spread(spec, seen, unit, now, rows, sign)
        span = spec.row_span
    return made


def _summed(found: GroupRows, window: int) -> GroupCounts:
    """Return counts by windows as large as the rows are that were found."""
    return {
        (key, label, start // window): sum(cells.values())
        for (key, label, start), cells in found.items()
    }


def _coarser(seen: GroupCounts, times: int) -> GroupCounts:
    """Return counts by windows that are so many times as large."""
    found: dict[GroupKey, int] = {}
    for (key, label, at), count in seen.items():
        place = key, label, at // times
        found[place] = found.get(place, 0) + count
    return found


def _spread(
    spec: CounterSpec, seen: GroupCounts, unit: int, now: float, rows: Rows, sign: int
) -> GroupRows | None:
    """Add counts to the rows of one counter; unit: the seconds that they are counted by.

    Return the rows by (key, label, start); None: something was too old for this counter.
    """
    units, signs = {at for _, _, at in seen}, spec.measure.signs
    places = {at: spec.place(at * unit) for at in units if not spec.too_old(at * unit, now)}
    if signs > 1:
        places = {at: (start, slot * signs + sign) for at, (start, slot) in places.items()}
    if not places:
        return None
    if len(units) == 1:  # nearly always
        ((start, slot),) = places.values()
        found: GroupRows = {
            (key, label, start): {slot: count}
            for (key, label, _), count in seen.items()
            if key is not None and label is not None
        }
    else:
        found = {}
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


def _put(spec: CounterSpec, found: GroupRows, rows: Rows) -> None:
    """Add the rows of a counter."""
    named = spec.rows(found)  # type: ignore[arg-type]
    if spec.measure.signs > 1:  # a row has both signs
        for row, cells in zip(named, found.values(), strict=True):
            rows.setdefault(row, {}).update(cells)
    else:
        rows.update(zip(named, found.values(), strict=True))
