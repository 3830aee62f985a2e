"""Records that hold the place of what Kafka lost, so that no offset is used twice.

Where the log of `events` ends before what somebody has read of it, it is filled up to there
(app.kafka.mending) before new events come in. Every role steps over the fillers, and a role that
had not read that far counts them as lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from app.text import number_in

_MARK = b"\0event-counter:lost:"  # no JSON begins with NUL, so no event looks like it
_AGAIN = b"\0event-counter:again"


def filler(until: int) -> bytes:
    """Return the value of a filler; until: offset below which records were acknowledged once.

    Two that fill at the same time may go beyond it. What lies there was never an event.
    """
    return b"%b%d" % (_MARK, until)


def again() -> bytes:
    """Return the value of a record that asks role count to send all rows of the partition again."""
    return _AGAIN


def is_filler(value: bytes | None) -> bool:
    """Return whether a record of `events` is none of anybody's."""
    return value is not None and value.startswith((_MARK, _AGAIN))


def told_by(value: bytes | None) -> int | None:
    """Return up to which offset a filler says that records existed; None: it is no filler."""
    return _until(value) if value is not None and value.startswith(_MARK) else None


class Losses(NamedTuple):
    """lost: offsets that are gone. void: fillers that stand for nothing, right below the position.

    Two that fill at the same time go too far, and one may know of more than the other. So what a
    filler says counts from where everything is accounted for: position - void; below 0 it lies
    ahead, as the first filler tells of all.
    """

    lost: int
    void: int


def losses_of(records: Iterable[Any], seen: int, void: int) -> Losses:
    """Return what is lost by the records of a partition above an offset.

    seen: the last offset that was accounted for before; void: as it was left then.
    """
    lost = 0
    for record in records:
        offset, value = record.offset, record.value
        if offset <= seen or value == _AGAIN:
            continue
        if not is_filler(value):
            void = 0
            continue
        known = offset - void
        until = max(known, _until(value))
        lost += until - known
        void = offset + 1 - until
    return Losses(lost, void)


def _until(value: bytes) -> int:
    return number_in(value.removeprefix(_MARK)) or 0
