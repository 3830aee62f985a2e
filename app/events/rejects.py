"""The record of `events-rejected` for a record of `events` that cannot be counted."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import msgspec

from app.errors import RejectedError
from app.events.event import EVENT_MAX_BYTES
from app.events.shapes import is_utf8

TIMESTAMP = "timestamp"  # header
PLACE_PARTS = 2  # partition and offset
DIGITS_MAX = 18  # of a number that we wrote: it has 64 bits

_encode = msgspec.json.Encoder().encode


def reject_record(record: Any, error: RejectedError) -> tuple[bytes, bytes]:
    """Return (key, value); the key says which record it was.

    value: {"code", "message", "topic", "partition", "offset", "payload"}, at most 32 KB of the
    payload. Bytes of it that are not UTF-8 appear as backslash escapes; all of it is in
    "payload_base64" then.
    """
    value = record.value or b""
    payload = value[:EVENT_MAX_BYTES].decode("utf-8", "backslashreplace")
    place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
    message = {**error.as_dict(), **place, "payload": payload}
    if len(value) <= EVENT_MAX_BYTES and not is_utf8(value):
        message["payload_base64"] = base64.b64encode(value).decode()
    return rejected_key(record.topic, record.partition, record.offset), _encode(message)


def rejected_key(topic: str, partition: int, offset: int) -> bytes:
    """Return the key of a rejected record."""
    return f"{topic}-{partition}-{offset}".encode()


def place_in(key: bytes | None) -> tuple[int, int] | None:
    """Return (partition, offset) of a rejected record from its key; None: it is none of ours."""
    _, *place = (key or b"").rsplit(b"-", 2)
    if len(place) != PLACE_PARTS:
        return None
    if not all(part.isdigit() and len(part) <= DIGITS_MAX for part in place):
        return None
    return int(place[0]), int(place[1])


def time_in(headers: Iterable[tuple[str, bytes | None]], otherwise: int) -> int:
    """Return the timestamp in the headers of a rejected record; otherwise: where there is none."""
    found = dict(headers).get(TIMESTAMP) or b""
    return int(found) if found.isdigit() and len(found) <= DIGITS_MAX else otherwise


def rejected_headers(record: Any) -> list[tuple[str, bytes]]:
    """Return the headers of a rejected record: its Kafka timestamp, ms since 1970."""
    return [(TIMESTAMP, b"%d" % record.timestamp)]
