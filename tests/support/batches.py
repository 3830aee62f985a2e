"""Batches as the transport delivers them, made of plain values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from aiokafka import ConsumerRecord

from app.events.batches import Slice, Verdicts
from app.events.event import Event
from app.events.records import Batch

TOPIC = "events"
RECORD_MS = 1_790_000_000_000  # 2026-09-21T14:13:20Z


def batch_of(
    values: Iterable[bytes],
    *,
    first: int = 0,
    partition: int = 0,
    before: int | None = None,
    after: int | None = None,
    offsets: Sequence[int] | None = None,
    timestamp_ms: int = RECORD_MS,
    gate: int = 1,
) -> Batch:
    """Return values as one fetched batch.

    first: offset of the first record; offsets: of all, where they have gaps. before, after: the
    fetch position on either side; by default right at the records. gate: the generation.
    """
    values = list(values)
    offsets = offsets or range(first, first + len(values))
    batch = Batch(
        ConsumerRecord(
            TOPIC, partition, offset, timestamp_ms, 0, None, value, None, 0, len(value), ()
        )
        for offset, value in zip(offsets, values, strict=True)
    )
    batch.before = offsets[0] if before is None else before
    batch.after = offsets[-1] + 1 if after is None else after
    batch.gate, batch.lag = gate, 0
    return batch


def events(numbers: Iterable[int], **fields: object) -> list[bytes]:
    """Return a CLICK per number, with the number as its uuid."""
    return [
        json.dumps({"type": "CLICK", "url": "/a", "uuid": str(n), **fields}).encode()
        for n in numbers
    ]


def slice_of(
    events: Iterable[Event], *, first: int = 0, received: Iterable[float] | None = None
) -> Slice:
    """Return events at the offsets from `first` on; received: s since 1970, else their times."""
    events = list(events)
    times = [event.timestamp.timestamp() for event in events if event.timestamp]
    offsets = range(first, first + len(events))
    return Slice(events, offsets, times, times if received is None else list(received))


def judged(events: Iterable[Event], *, first: int = 0) -> Verdicts:
    """Return events that no rule has anything against."""
    return Verdicts(human=slice_of(events, first=first))
