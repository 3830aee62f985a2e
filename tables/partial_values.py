"""Values of the table `partials` and of the topic `counts`: (last source offset, {slot: count})."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from app.counting.spec import Cells


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
