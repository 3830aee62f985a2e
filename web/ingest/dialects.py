"""What the dialects of other clients share.

A dialect says what an event of its client means, as the fields of ours. It checks what only it
knows; all other rules are those of app.events, which sees the fields as if they had been sent. One
that knows of an event that it breaks none of these rules may give the event itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp.hdrs import USER_AGENT
from aiohttp.web import Request

from app.errors import MalformedJsonError, NotAnObjectError, TooLargeError
from app.events.event import USER_AGENT_MAX_BYTES, Event
from app.events.malformed import why_not_json

Fields = dict[str, Any]
ToFields = Callable[[bytes], Fields]  # raises RejectedError
Dialect = Callable[[bytes], Fields | Event]  # the same; what decode() would make of the fields

# Dialects wrap an event in much that is not kept. What is longer is not even decoded: 1 ms.
ITEM_MAX_BYTES = 262_144

_decode = msgspec.json.Decoder().decode


def json_of(item: bytes) -> object:
    """Return the JSON of an item; raise MalformedJsonError, TooLargeError."""
    if len(item) > ITEM_MAX_BYTES:
        raise TooLargeError(f"the event has {len(item)} bytes")
    try:
        return _decode(item)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise MalformedJsonError(f"not JSON: {why_not_json(item, exc)}") from exc


def object_of(item: bytes) -> Fields:
    """Return the JSON object of an item; raise the RejectedError that it deserves."""
    found = json_of(item)
    if not isinstance(found, dict):
        raise NotAnObjectError("the event is not an object")
    return found


def part(fields: Fields, name: str) -> Fields:
    """Return the object under a name; an empty one where there is none."""
    found = fields.get(name)
    return found if isinstance(found, dict) else {}


def first(*values: Any) -> Any:
    """Return the first value that is neither None nor empty text, None without one."""
    for value in values:
        if value is not None and value != "":
            return value
    return None


def without_nothing(fields: Fields) -> Fields:
    """Return the fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}


def user_agent_of(request: Request) -> str | None:
    """Return who sends, as far as it fits an event; bytes that are no text are left out."""
    given = request.headers.get(USER_AGENT, "").encode("utf-8", "ignore")
    return given[:USER_AGENT_MAX_BYTES].decode("utf-8", "ignore").replace("\0", "") or None
