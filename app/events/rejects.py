"""The record of `events-rejected` for a record of `events` that cannot be counted."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import msgspec

from app.errors import RejectedError
from app.events.event import EVENT_MAX_BYTES
from app.events.shapes import is_utf8
from app.text import number_in

TIMESTAMP = "timestamp"  # header
PLACE_PARTS = 2  # partition and offset

_encode = msgspec.json.Encoder().encode


def reject_record(
    record: Any, error: RejectedError
) -> tuple[bytes, bytes, list[tuple[str, bytes | None]]]:
    """Return (key, value, headers); the key says which record it was.

    value: {"code", "message", "topic", "partition", "offset", "payload"}, at most 32 KB of the
    payload. Bytes of it that are not UTF-8 appear as backslash escapes; all of it is in
    "payload_base64" then. headers: its Kafka timestamp, ms since 1970.
    """
    value = record.value or b""
    payload = value[:EVENT_MAX_BYTES].decode("utf-8", "backslashreplace")
    place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
    message = {**error.as_dict(), **place, "payload": payload}
    if len(value) <= EVENT_MAX_BYTES and not is_utf8(value):
        message["payload_base64"] = base64.b64encode(value).decode()
    key = rejected_key(record.topic, record.partition, record.offset)
    return key, _encode(message), [(TIMESTAMP, b"%d" % record.timestamp)]


def rejected_key(topic: str, partition: int, offset: int) -> bytes:
    """Return the key of a rejected record."""
    return f"{topic}-{partition}-{offset}".encode()


def place_in(key: bytes | None) -> tuple[int, int] | None:
    """Return (partition, offset) of a rejected record from its key; None: it is none of ours."""
    _, *place = (key or b"").rsplit(b"-", 2)
    if len(place) != PLACE_PARTS:
        return None
    partition, offset = map(number_in, place)
    return None if partition is None or offset is None else (partition, offset)


def time_in(headers: Iterable[tuple[str, bytes | None]], otherwise: int) -> int:
    """Return the timestamp in the headers of a rejected record; otherwise: where there is none."""
    found = number_in(dict(headers).get(TIMESTAMP))
    return otherwise if found is None else found
