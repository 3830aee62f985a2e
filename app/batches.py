"""A batch of records as events, and what of it is rejected. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from app.decoding import decode
from app.errors import RejectedError
from app.event import Event


class Decoded(NamedTuple):
    """events and offsets: side by side, by offset. rejected: (record, why)."""

    events: list[Event]
    offsets: list[int]
    rejected: list[tuple[Any, RejectedError]]

    def after(self, offset: int) -> list[Event]:
        """Return the events above an offset."""
        return [e for e, at in zip(self.events, self.offsets, strict=True) if at > offset]


def decode_batch(batch: Sequence[Any]) -> Decoded:
    """Decode aiokafka records of one partition."""
    events, offsets, rejected = [], [], []
    for record in batch:
        try:
            events.append(decode(record.value or b"", record.timestamp))
        except RejectedError as exc:
            rejected.append((record, exc))
        else:
            offsets.append(record.offset)
    return Decoded(events, offsets, rejected)
