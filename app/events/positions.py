"""EventPositions in the topic `events`, as callers see them: P:O[,P:O...], by partition.

O is the offset behind what is meant, so that everything below it lies before the position.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from app.errors import BadRequestError

SHOWN_MAX = 60  # characters of what is wrong, in its message
OFFSET_MAX = 2**63 - 1
_ONE = re.compile(r"([0-9]{1,5}):([0-9]{1,19})", re.ASCII)

EventPositions = Mapping[int, int]  # offset by partition


def shown(positions: EventPositions) -> str:
    """Return positions as text, by partition: 0:17,3:4711."""
    if len(positions) == 1:  # of nearly each answer to a PUT: 2 us less
        ((partition, offset),) = positions.items()
        return f"{partition}:{offset}"
    return ",".join(f"{partition}:{offset}" for partition, offset in sorted(positions.items()))


def parse_one(text: str) -> tuple[int, int]:
    """Return partition and offset of P:O; raise BadRequestError."""
    found = _ONE.fullmatch(text)
    if found is None or int(found[2]) > OFFSET_MAX:
        raise BadRequestError(f"{text[:SHOWN_MAX]!r} is not a position; write it like 3:4711")
    return int(found[1]), int(found[2])


def parse(text: str, partitions: int) -> dict[int, int]:
    """Return the positions in a text, of each partition the last; raise BadRequestError.

    partitions: of `events`; a position of another one is none. A partition may be there more than
    once: positions of several calls may be put together.
    """
    found: dict[int, int] = {}
    for one in text.split(","):
        partition, offset = parse_one(one)
        if partition >= partitions:
            exists = f"the topic has {partitions}"
            raise BadRequestError(f"partition {partition} does not exist; {exists}")
        found[partition] = max(offset, found.get(partition, 0))
    return found
