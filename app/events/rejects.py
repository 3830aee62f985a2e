"""The record of `events-rejected` for a record of `events` that cannot be counted."""

from __future__ import annotations

from typing import Any

import msgspec

from app.errors import RejectedError
from app.events.event import EVENT_MAX_BYTES

_encode = msgspec.json.Encoder().encode


def reject_record(record: Any, error: RejectedError) -> tuple[bytes, bytes]:
    """Return (key, value); the key is the same when a record is rejected again in a replay.

    value: {"code", "message", "topic", "partition", "offset", "payload"}; bytes of the payload
    that are not UTF-8 appear as backslash escapes, and at most 32 KB of it.
    """
    payload = (record.value or b"")[:EVENT_MAX_BYTES].decode("utf-8", "backslashreplace")
    place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
    key = "{topic}-{partition}-{offset}".format(**place)
    return key.encode(), _encode({**error.as_dict(), **place, "payload": payload})
