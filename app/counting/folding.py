"""The fold of events into rows of counts: each column of a batch is looked at as rarely as can be.

Counters of the same events, key, label and measure are one group. It is counted once, by the
smallest of their windows, and the larger ones add that up. Groups that follow from url and type
alone, as website and page do, are taken from one count by url, type and window: 100 urls are 100
names to take apart, however many events there are. Pure: no Faust, no I/O.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress

import numpy as np

from app.counting.carried import FINE, Carried
from app.counting.groups import (
    BatchColumns,
    FoldState,
    FullRows,
    Group,
    GroupCounts,
    GroupKey,
    GroupRows,
    LeftOut,
    added,
    bounded,
    chosen,
    derived,
    tally,
)
from app.counting.seconds import MANY, Views, by_second
from app.counting.spec import CounterSpec, Of, Rows
from app.events.batches import Slice, Verdicts


class Fold:
    """Folds events into the rows of counters."""

    def __init__(self, specs: Iterable[CounterSpec], carried: Carried | None = None) -> None:
        self._carried = carried
        self._levels: Group | None = None
        if carried is not None:
            self._levels = Group(carried.levels[0])
            self._levels.specs.extend(carried.levels)
            specs = [spec for spec in specs if spec not in carried.levels]
        groups: dict[tuple[object, ...], Group] = {}
        for spec in sorted(specs, key=lambda spec: spec.window or 1 << 32):
            groups.setdefault(Group.same(spec), Group(spec)).specs.append(spec)
        self._groups: dict[Of, list[Group]] = {}
        for group in groups.values():
            self._groups.setdefault(group.of, []).append(group)
        pages = Counter((g.of, g.unit) for g in groups.values() if g.follows_from_url_and_type)
        self._shared = {place for place, many in pages.items() if many > 1}

    def rows(self, verdicts: Verdicts, now: float, state: FoldState) -> Rows:
        """Return the rows that the events add up to; now: s since 1970, for what is too old."""
        rows: Rows = {}
        left = LeftOut() if state.left_out is None else state.left_out
        for of, groups in self._groups.items():
            part: Slice = getattr(verdicts, of)
            if not part.events:
                continue
            columns = BatchColumns(part, state.kept)
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
                    self._carry(made, columns, state.full, now, rows)
        return rows

    def _carry(
        self,
        made: Mapping[int, GroupRows | None],
        columns: BatchColumns,
        full: FullRows,
        now: float,
        rows: Rows,
    ) -> None:
        """Add the seconds of views to the rows that carry them, if they are among those made.

        Those that full rows cannot carry go straight to the rows of the levels: with few urls that
        is nearly all, and takes half the time of sorting it out later.
        """
        carried, levels = self._carried, self._levels
        if carried is None or levels is None or not (found := made.get(carried.base.number)):
            return
        if not columns.part.has_any(carried.types):
            return
        base, finest, views = carried.base, levels.specs[0], Views.of(columns, carried.types)
        if full and not finest.too_old(int(views.seconds.min()), now):
            views, later = views.parted(found, full, base.row_span)
            fine = _rows_by_second(later.urls, later.seconds, finest)
            _spread_all(levels, {}, fine, now, rows)
        pairs = list(zip(views.urls, views.names, strict=True))
        for (url, name), start, cells in by_second(pairs, views.seconds, base.row_span, FINE):
            if url is not None:
                found[url, name, start].update(cells)

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
    return _rows_by_second(list(map(group.key.get, events)), units, spec)


def _rows_by_second(
    keys: Sequence[str | None], seconds: np.ndarray, spec: CounterSpec
) -> GroupRows:
    """Return the rows of a counter whose window is a second."""
    return {
        (key, "", start): cells
        for key, start, cells in by_second(keys, seconds, spec.row_span)
        if key is not None
    }


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
    named = spec.keys.rows(found)  # type: ignore[arg-type]
    if spec.measure.signs > 1:  # a row has both signs
        for row, cells in zip(named, found.values(), strict=True):
            rows.setdefault(row, {}).update(cells)
    else:
        rows.update(zip(named, found.values(), strict=True))
