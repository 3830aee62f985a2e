"""From the fields of an event to its JSON, with the message_id and the time of send()."""

from __future__ import annotations

import json
import os
import time
from datetime import datetime
from typing import Any, Union
from uuid import UUID

EVENT_MAX_BYTES = 32_768  # the server's limit
UUID_BYTES = 16
AT_ONCE = 256  # one system call for so many; uuid.uuid4() makes one each, 2 us
NS = 1_000_000_000

Fields = dict[str, Any]
# In memory an event stays as it came, with the ns since 1970 of send(): to make its JSON costs as
# much as all the rest, and the sender's thread has the time. In a spool it is its JSON.
Entry = Union[tuple[Fields, int], bytes]


class EncodingError(ValueError):
    """An event that cannot be sent; code: see Rejected."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class MessageIds:
    """Random UUIDs (RFC 9562, version 4); any thread may ask."""

    def __init__(self) -> None:
        self._left: list[str] = []

    def take(self) -> str:
        """Return the next one."""
        try:
            return self._left.pop()
        except IndexError:  # two threads at once: the ids of one are not used
            self._left = left = _uuids()
            return left.pop()


def _uuids() -> list[str]:
    digits = os.urandom(UUID_BYTES * AT_ONCE).hex()
    made = []
    for at in range(0, len(digits), 2 * UUID_BYTES):
        x = digits[at : at + 2 * UUID_BYTES]
        variant = "89ab"[int(x[16], 16) & 3]
        made.append(f"{x[:8]}-{x[8:12]}-4{x[13:16]}-{variant}{x[17:20]}-{x[20:]}")
    return made


def to_line(entry: Entry) -> bytes:
    """Return the JSON of an event in one line; raise EncodingError where there is none."""
    if isinstance(entry, bytes):
        return entry
    fields, sent_ns = entry
    if "timestamp" not in fields:
        fields["timestamp"] = utc(sent_ns)
    try:
        line = _to_json(fields).encode()
    except (TypeError, ValueError, RecursionError, RuntimeError) as exc:
        raise EncodingError("not_json", f"the event cannot be sent as JSON: {exc}") from exc
    if len(line) > EVENT_MAX_BYTES:
        message = f"the event has {len(line)} bytes, more than {EVENT_MAX_BYTES}"
        raise EncodingError("too_large", message)
    return line


def to_fields(entry: Entry) -> Fields:
    """Return the fields of an event; of a spool that was damaged, what can be shown of it."""
    if not isinstance(entry, bytes):
        return entry[0]
    try:
        event = json.loads(entry)
    except ValueError:
        event = None
    return event if isinstance(event, dict) else {"damaged": repr(entry)}


def utc(ns: int) -> str:
    """Return ns since 1970 as 2024-03-15T14:30:00.123456Z."""
    second, ns = divmod(ns, NS)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(second))}.{ns // 1000:06d}Z"


def _plain(value: object) -> str:
    """Return the text of what json does not know."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone, give it one, such as timezone.utc")
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


_to_json = json.JSONEncoder(
    separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain
).encode
