"""Values of the table `partials` and of the topic `counts`: (last source offset, {slot: count})."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Meta

from app.counting.carried import FINE, SLOT_LAST, parted
from app.counting.measures import SUM_MAX
from app.counting.spec import Cells, Rows

# The rows that the events at the offsets (begin, end] add up to.
FoldRange = Callable[[int, int], Rows]
CARRIES, NOTHING = -2, -1  # of a row: whether it carries seconds


class Partial(msgspec.Struct, array_like=True, gc=False):
    """last: source offset. fine: seconds, where they are stored apart.

    Hundreds of thousands of them are no work for the garbage collector.
    """

    last: int
    cells: Cells
    carries: int = NOTHING  # those of version 0.1.0 carry nothing, see tables.carrying
    fine: Cells | None = None


_decode = msgspec.msgpack.Decoder(Partial).decode
_encode = msgspec.msgpack.Encoder().encode


def decode_partial(value: bytes) -> Partial:
    """Return a value with its seconds among its cells."""
    partial = _decode(value)
    if partial.fine:
        partial.cells.update(partial.fine)
        partial.fine = None
    return partial


def encode_partial(partial: Partial) -> bytes:
    """Return a value with its seconds apart: older versions read the others."""
    if max(partial.cells, default=0) < FINE:
        return _encode(partial)
    windows, fine = parted(partial.cells)
    return _encode(Partial(partial.last, windows, partial.carries, fine))


class Published(msgspec.Struct, array_like=True, gc=False):
    """A value in `counts`, which others can write to as well; as a Partial."""

    last: int
    cells: dict[Annotated[int, Meta(ge=0, lt=FINE)], Annotated[int, Meta(ge=0)]]
    carries: int = NOTHING
    fine: dict[Annotated[int, Meta(ge=FINE, le=SLOT_LAST)], Annotated[int, Meta(ge=0)]] | None = (
        None
    )


decode_published = msgspec.msgpack.Decoder(Published).decode


def overflows(counted: Cells, more: Cells) -> bool:
    """Whether a cell of a sum has no room for what is added."""
    return any(counted.get(slot, 0) + micros > SUM_MAX for slot, micros in more.items())


def add_singly(partial: Partial, row: bytes, fold: FoldRange, begin: int, end: int) -> int:
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
