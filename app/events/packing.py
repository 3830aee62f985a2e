"""From an event to the record that goes to Kafka."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache

from app.errors import TooLargeError
from app.events.event import EVENT_MAX_BYTES, Event, at_ms, encode, partition_key

PackedRecord = tuple[bytes, bytes, int]  # key, value, timestamp in ms since 1970

UUID_HEX = 32
UUIDS_AT_ONCE = 128  # one system call for so many


def _make_uuids() -> Iterator[str]:
    """Yield random UUIDs (RFC 9562, version 4) for ever; uuid.uuid4() takes five times as long."""
    while True:
        digits = os.urandom(UUID_HEX // 2 * UUIDS_AT_ONCE).hex()
        for at in range(0, len(digits), UUID_HEX):
            x = digits[at : at + UUID_HEX]
            variant = "89ab"[int(x[16], 16) & 3]
            yield f"{x[:8]}-{x[8:12]}-4{x[13:16]}-{variant}{x[17:20]}-{x[20:]}"


_next_uuid = _make_uuids().__next__
_moment = lru_cache(maxsize=64)(at_ms)  # many events come within a millisecond


def pack(event: Event, now_ms: int, uuid: str = "") -> PackedRecord:
    """Return the record of an event received at now_ms; sets its received_at and a missing uuid.

    uuid: for an event without one; random if left out. A timestamp that only repeats now_ms was
    filled in by decode(): it is left out, every reader takes the record's, and can still tell a
    moment that the sender named. So are uuid and received_at where only they make it too large.
    Raises TooLargeError: the canonical form can be longer than what was sent, and must not be
    acknowledged if the workers would reject it.
    """
    given = event.uuid or None
    event.uuid = given or uuid or _next_uuid()
    event.received_at = received = _moment(now_ms)
    if event.timestamp == received:
        event.timestamp = None
    key, value = partition_key(event), encode(event)
    if len(value) > EVENT_MAX_BYTES:
        event.received_at, event.uuid = None, given
        value = encode(event)
        if len(value) > EVENT_MAX_BYTES:
            raise TooLargeError(f"the event in canonical form has {len(value)} bytes")
    return key, value, now_ms
