"""Events by the second, where nearly each is a count of its own. Pure.

Sorting numbers is faster than a dict of places then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import compress
from typing import NamedTuple, TypeVar

import numpy as np

from app.counting.groups import BatchColumns, FullRows, GroupKey
from app.counting.spec import FOREVER, OTHER_KEY, Cells

MANY = 256  # events, from which on numpy is faster
WINDOW_BITS = 33  # of a window since 1970; above them the number of a key

NameT = TypeVar("NameT")


def by_second(
    keys: Sequence[NameT], seconds: np.ndarray, row_span: int, first_slot: int = 0
) -> Iterator[tuple[NameT, int, Cells]]:
    """Yield (key, row start, cells) of rows of so many seconds; first_slot: of the first one.

    The cells of a row are in the order that they first came in.
    """
    if not keys:
        return
    names = list(dict.fromkeys(keys))
    numbers = {name: number for number, name in enumerate(names)}
    ids = np.fromiter(map(numbers.__getitem__, keys), np.int64, len(keys))
    codes, at, many = np.unique(ids << WINDOW_BITS | seconds, return_index=True, return_counts=True)
    windows = codes & ((1 << WINDOW_BITS) - 1)
    slots = windows % row_span
    rows = codes - slots
    order = np.lexsort((at, rows))
    edges = [*(np.flatnonzero(np.diff(rows)) + 1).tolist(), len(rows)]
    starts, places = (windows - slots).tolist(), (codes >> WINDOW_BITS).tolist()
    slot_list, counts, begin = (slots[order] + first_slot).tolist(), many[order].tolist(), 0
    for end in edges:
        cells = dict(zip(slot_list[begin:end], counts[begin:end], strict=True))
        yield names[places[begin]], starts[begin], cells
        begin = end


class Views(NamedTuple):
    """Events of some types. names: their types as they are kept. seconds: int64 (views,)."""

    urls: Sequence[str | None]
    names: Sequence[str]
    seconds: np.ndarray

    @classmethod
    def of(cls, columns: BatchColumns, types: frozenset[str]) -> Views:
        """Return the events of some types."""
        part, others = columns.part, columns.other_types
        chosen = part.of_types(types)
        urls = [event.url for event in compress(part.events, chosen)]
        names = list(compress(part.types, chosen))
        if not others.isdisjoint(types):
            names = [OTHER_KEY if name in others else name for name in names]
        return cls(urls, names, part.seconds[chosen])

    def parted(self, rows: Iterable[GroupKey], full: FullRows, span: int) -> tuple[Views, Views]:
        """Return what rows may carry, and what lies behind all that full ones carry.

        rows: of all views. span: seconds of a row.
        """
        nothing = Views((), (), self.seconds[:0])
        starts = self.seconds - self.seconds % span
        kinds = set(self.names)
        last = {row: full.get(row, FOREVER) for row in rows if row[1] in kinds}
        if self.seconds.min() > max(last.values(), default=FOREVER):
            return nothing, self
        if min(last.values(), default=FOREVER) == FOREVER:
            return self, nothing
        places = zip(self.urls, self.names, starts.tolist(), strict=True)
        lasts = np.fromiter((last.get(place, FOREVER) for place in places), np.int64)
        later = self.seconds > lasts
        return self.where(~later), self.where(later)

    def where(self, chosen: np.ndarray) -> Views:
        """Return the views that are chosen."""
        some = chosen.tolist()
        return Views(
            list(compress(self.urls, some)), list(compress(self.names, some)), self.seconds[chosen]
        )
