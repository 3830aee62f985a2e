"""The five accepted shapes, and what exactly is wrong with an event that has none of them.

One mapping serves all: the shapes do not contradict each other, so every name is accepted
everywhere. The slow path of app.events.decoding.decode().
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any

import msgspec

from app.errors import (
    InvalidFieldError,
    InvalidTimestampError,
    MalformedJsonError,
    MissingTypeError,
    NotAnObjectError,
    TimestampInFutureError,
    TooLargeError,
)
from app.events.event import (
    EPOCH,
    EVENT_MAX_BYTES,
    FUTURE_LIMIT,
    MESSAGE_ID_MAX_BYTES,
    REFERRER_MAX_BYTES,
    TYPE_MAX_BYTES,
    URL_MAX_BYTES,
    USER_AGENT_MAX_BYTES,
    Event,
    at_ms,
)
from app.events.malformed import why_not_json

Json = dict[str, Any]

# Canonical name first, then the names of the shapes clickstream, ads, analytics and app.
TYPE_NAMES = ("type", "Type", "eventName", "event_type", "event_action")
NAMES = {
    "uuid": ("uuid",),
    "url": ("url", "Url", "page_url"),
    "ip": ("ip",),
    "user_id": ("user_id", "userId"),
    "session_id": ("session_id",),
    "ad_id": ("ad_id",),
    "app_name": ("app_name",),
    "product_id": ("product_id", "productId"),
    "category": ("category", "event_category"),
    "message_id": ("message_id", "messageId"),
    "referrer": ("referrer",),
    "user_agent": ("user_agent",),
}
READ = frozenset(  # every name that from_json() looks at
    {"Meta", "properties", "timestamp", "date", "received_at", "value", "event_value"}
).union(TYPE_NAMES, *NAMES.values())
OUT_OF_RANGE = "out of range"  # as msgspec says of 1e400
MAX_BYTES = {"url": URL_MAX_BYTES, "message_id": MESSAGE_ID_MAX_BYTES}
# Cut, not rejected: a browser says them, and who sends the event cannot help how long they are.
CUT_BYTES = {"referrer": REFERRER_MAX_BYTES, "user_agent": USER_AGENT_MAX_BYTES}
SHOWN_MAX = 60  # characters of a bad value in its error message
ARRAY = ord("[")
DEPTH_MAX = 100  # levels; what Python can take depends on who calls, and must not decide
MILLISECONDS_FROM = 100_000_000_000  # as seconds: the year 5138; as milliseconds: 1973

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_NO_BRACKET = bytes(byte for byte in range(256) if byte not in b"{[]}")
_STEP = bytes.maketrans(b"{[]}", b"\x01\x01\xff\xff")  # as signed bytes: 1 down, 1 up


def parse(value: bytes, record_ms: int) -> Event:
    """Return the event in the bytes of one record of any shape; as app.events.decoding.decode()."""
    if len(value) > EVENT_MAX_BYTES:
        raise TooLargeError(f"the event has {len(value)} bytes")
    if may_be_deep(value) and _depth(value) > DEPTH_MAX:
        raise InvalidFieldError(f"the event is nested deeper than {DEPTH_MAX} levels")
    return from_json(_decoded(value), record_ms)


def _decoded(value: bytes) -> object:
    """Return JSON as Python has it; where it has a number that Python has not, what we read of it.

    Nobody reads other names, so such a number must not depend on whether the fast path met it.
    """
    try:
        return msgspec.json.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        if OUT_OF_RANGE not in str(exc) or not is_utf8(value):
            raise MalformedJsonError(f"not JSON: {why_not_json(value, exc)}") from exc
    try:
        parts = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
        return {name: msgspec.json.decode(parts[name]) for name in parts.keys() & READ}
    except msgspec.MsgspecError as exc:
        raise MalformedJsonError(f"not JSON: {why_not_json(value, exc)}") from exc


def is_utf8(value: bytes) -> bool:
    """Whether bytes are UTF-8; msgspec does not look at what it skips."""
    try:
        return value.isascii() or bool(value.decode())
    except UnicodeDecodeError:
        return False


def may_be_deep(value: bytes) -> bool:
    """Whether JSON has enough brackets to be nested deeper than DEPTH_MAX."""
    # Most events are shorter than so many pairs of brackets, or one object without another: to
    # see that takes 0.1 us, counting 0.4 and more.
    return (
        len(value) > 2 * DEPTH_MAX
        and (ARRAY in value or value.rfind(b"{") > 0)
        and value.count(b"{") + value.count(b"[") > DEPTH_MAX
    )


def _depth(value: bytes) -> int:
    """Return the levels of nesting; of text that is no JSON, any number."""
    steps = _STRING.sub(b"", value).translate(_STEP, _NO_BRACKET)
    return max(accumulate(memoryview(steps).cast("b")), default=0)  # 50 ns a bracket


def from_json(data: object, record_ms: int) -> Event:
    """Return the event in decoded JSON of any shape; as app.events.decoding.decode()."""
    if not isinstance(data, dict):
        raise NotAnObjectError(f"the event is {_json_type(data)}")
    meta = data.get("Meta")
    if meta is not None and not isinstance(meta, dict):
        raise InvalidFieldError(f"Meta is {_json_type(meta)}, not an object")
    fields = {field: _text(data, names) for field, names in NAMES.items()}
    for field, name in (("user_id", "UserId"), ("ad_id", "AdId")):
        if fields[field] is None and meta:
            fields[field] = _text(meta, (name,))
    for field, limit in MAX_BYTES.items():
        if len((fields[field] or "").encode()) > limit:
            raise InvalidFieldError(f"{field} is longer than {limit} bytes")
    for field, limit in CUT_BYTES.items():
        if text := fields[field]:
            fields[field] = text.encode()[:limit].decode("utf-8", "ignore")
    fields["message_id"] = fields["message_id"] or None  # an empty one names no event
    return Event(
        type=_type(data),
        timestamp=_time(data, ("timestamp", "date"), record_ms) or at_ms(record_ms),
        received_at=_time(data, ("received_at",), record_ms),
        value=_number(data, ("value", "event_value")),
        properties=_properties(data),
        **fields,
    )


def parse_time(value: object, name: str = "timestamp") -> datetime:
    """Return the aware UTC moment that a JSON value or a query's text stands for.

    Accepts RFC 3339, the same with "UTC" at its end, epoch seconds or milliseconds; no zone is
    UTC. Raises InvalidTimestampError.
    """
    try:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise InvalidTimestampError(f"{name} is {_json_type(value)}")
        if isinstance(value, str):
            time = msgspec.convert(value.removesuffix("UTC"), datetime)
            time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        else:
            seconds = value / 1000 if abs(value) >= MILLISECONDS_FROM else value
            time = EPOCH + timedelta(seconds=seconds)
    except (msgspec.ValidationError, ValueError, OverflowError) as exc:
        raise InvalidTimestampError(f"{name} {_short(value)} cannot be read") from exc
    if time < EPOCH:
        raise InvalidTimestampError(f"{name} {_short(value)} is before 1970")
    return time


def _first(data: Json, names: tuple[str, ...]) -> tuple[str, Any]:
    for name in names:
        if (value := data.get(name)) is not None:
            return name, value
    return names[0], None


def _text(data: Json, names: tuple[str, ...]) -> str | None:
    """A string; numbers are taken as their decimal text (the app shape's user_id)."""
    name, value = _first(data, names)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is not None and not isinstance(value, str):
        raise InvalidFieldError(f"{name} is {_json_type(value)}, not a string")
    if value and "\0" in value:
        raise InvalidFieldError(f"{name} has a NUL character")
    return value


def _type(data: Json) -> str:
    name, value = _first(data, TYPE_NAMES)
    if value is None:
        if "event_action" in data:
            return "null"
        raise MissingTypeError("the event has no type")
    if not isinstance(value, str):
        raise InvalidFieldError(f"{name} is {_json_type(value)}, not a string")
    if not value:
        raise MissingTypeError("the event's type is empty")
    if "\0" in value:
        raise InvalidFieldError(f"{name} has a NUL character")
    if len(value.encode()) > TYPE_MAX_BYTES:
        raise InvalidFieldError(f"{name} is longer than {TYPE_MAX_BYTES} bytes")
    return value


def _time(data: Json, names: tuple[str, ...], record_ms: int) -> datetime | None:
    name, value = _first(data, names)
    if value is None:
        return None
    time = parse_time(value, name)
    if time > at_ms(record_ms) + FUTURE_LIMIT:
        raise TimestampInFutureError(f"{name} {_short(value)} is in the future")
    return time


def _number(data: Json, names: tuple[str, ...]) -> float | None:
    name, value = _first(data, names)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidFieldError(f"{name} is {_json_type(value)}, not a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InvalidFieldError(f"{name} is out of range")
    return number


def _properties(data: Json) -> Json | None:
    properties = data.get("properties")
    if properties is None:
        return None
    if not isinstance(properties, dict):
        raise InvalidFieldError(f"properties is {_json_type(properties)}, not an object")
    if _has_nul(properties):
        raise InvalidFieldError("properties has a NUL character")
    return properties


def _has_nul(value: object) -> bool:
    """Whether any text in a JSON value has a NUL; msgspec bounds its depth."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any("\0" in key or _has_nul(item) for key, item in value.items())
    return isinstance(value, list) and any(map(_has_nul, value))


def _json_type(value: object) -> str:
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string"}
    return names.get(type(value), "an array" if isinstance(value, list) else "an object")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_MAX else text[:SHOWN_MAX] + "..."
