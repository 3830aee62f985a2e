"""A batch of records as events, what of it is rejected, and what becomes of the rest. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import compress
from typing import Any, NamedTuple

from app.decoding import decode
from app.errors import RejectedError
from app.event import Event


class Slice(NamedTuple):
    """Events of one source partition, by offset, in columns.

    times, received: event time, and the `received_at` of the table event; seconds since 1970.
    """

    events: Sequence[Event] = ()
    offsets: Sequence[int] = ()
    times: Sequence[float] = ()
    received: Sequence[float] = ()

    def after(self, offset: int) -> Slice:
        """Return what lies above an offset."""
        at = bisect_right(self.offsets, offset)
        return Slice(self.events[at:], self.offsets[at:], self.times[at:], self.received[at:])

    def where(self, chosen: Sequence[bool]) -> Slice:
        """Return the events that are chosen."""
        return Slice(
            list(compress(self.events, chosen)),
            list(compress(self.offsets, chosen)),
            list(compress(self.times, chosen)),
            list(compress(self.received, chosen)),
        )


class Judged(NamedTuple):
    """Events by what the rules made of them; a counted click is human too."""

    human: Slice
    bot: Slice = Slice()
    counted_click: Slice = Slice()

    def after(self, offset: int) -> Judged:
        """Return what lies above an offset."""
        return Judged(*(part.after(offset) for part in self))


class Decoded(NamedTuple):
    """valid: the events. rejected: (record, why)."""

    valid: Slice
    rejected: list[tuple[Any, RejectedError]]


def decode_batch(batch: Sequence[Any]) -> Decoded:
    """Decode aiokafka records of one partition, or return what a PastBatch brings along."""
    if (known := getattr(batch, "decoded", None)) is not None:
        return known  # type: ignore[no-any-return]
    events, offsets, received, rejected = [], [], [], []
    for record in batch:
        recorded_ms = record.timestamp
        try:
            event = decode(record.value or b"", recorded_ms)
        except RejectedError as exc:
            rejected.append((record, exc))
            continue
        events.append(event)
        offsets.append(record.offset)
        at = event.received_at
        # The same float as timestamp() makes of that moment: both round the exact quotient.
        received.append(recorded_ms / 1000 if at is None else at.timestamp())
    times = [event.timestamp.timestamp() for event in events]  # type: ignore[union-attr]
    return Decoded(Slice(events, offsets, times, received), rejected)
