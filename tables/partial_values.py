"""Values of the table `partials` and of the topic `counts`: (last source offset, {slot: count})."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Meta

from app.counting.measures import SUM_MAX
from app.counting.spec import Cells, Rows


class Partial(msgspec.Struct, array_like=True, gc=False):
    """last: source offset. Hundreds of thousands of them are no work for the garbage collector."""

    last: int
    cells: Cells


decode_partial = msgspec.msgpack.Decoder(Partial).decode


class Published(msgspec.Struct, array_like=True, gc=False):
    """A value in `counts`, which others can write to as well; cells: as those of a Partial."""

    last: int
    cells: dict[Annotated[int, Meta(ge=0, le=255)], Annotated[int, Meta(ge=0)]]


decode_published = msgspec.msgpack.Decoder(Published).decode


def overflows(counted: Cells, more: Cells) -> bool:
    """Whether a cell of a sum has no room for what is added."""
    return any(counted.get(slot, 0) + micros > SUM_MAX for slot, micros in more.items())


def add_singly(
    partial: Partial, row: bytes, fold: Callable[[int, int], Rows], begin: int, end: int
) -> int:
    """Add the events of (begin, end] to a sum, but for those that it has no room for.

    Each is judged by what came before it alone, so it is the same ones however batches are cut.
    Return how many were left out.
    """
    cells = fold(begin, end).get(row)
    if not cells:
        return 0
    if not overflows(partial.cells, cells):
        partial.cells = {
            slot: partial.cells.get(slot, 0) + cells.get(slot, 0)
            for slot in partial.cells.keys() | cells.keys()
        }
        return 0
    if end == begin + 1:
        return 1
    middle = (begin + end) // 2
    before = add_singly(partial, row, fold, begin, middle)
    return before + add_singly(partial, row, fold, middle, end)
