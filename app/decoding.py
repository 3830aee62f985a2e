"""From the bytes of a record to an event.

decode() takes the canonical form in one step of C and hands all else to app.shapes. Both judge an
event by its bytes and its Kafka timestamp alone, never by the clock: so the roles count and
store, and a replay a week later, agree about every record.
"""

from __future__ import annotations

import msgspec

from app.errors import TimestampInFutureError, TooLargeError
from app.event import EVENT_MAX_BYTES, Event, at_ms, to_ms
from app.shapes import parse

DAY_MS = 86_400_000
BACKSLASH = ord("\\")


class _Strict(Event, gc=False):
    """An event as decoded in one step; a name of another shape sends it to app.shapes."""

    date: None = None
    userId: None = None  # noqa: N815 - the name in the clickstream shape
    productId: None = None  # noqa: N815
    Url: None = None
    Meta: None = None
    page_url: None = None
    event_category: None = None
    event_value: None = None


_decode_strict = msgspec.json.Decoder(_Strict).decode


def decode(value: bytes, record_ms: int) -> Event:
    """Return the event in the bytes of one record.

    record_ms: the record's Kafka timestamp, ms since 1970; the event time where none is given, and
    what "in the future" is judged by. The returned timestamp is always set.
    Raises a RejectedError that names the fault.
    """
    if len(value) > EVENT_MAX_BYTES:
        raise TooLargeError(f"the event has {len(value)} bytes")
    # A backslash may hide a NUL, which Postgres cannot store: the slow path looks closer.
    if BACKSLASH not in value:
        try:
            event = _decode_strict(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass  # another shape, or a fault: parse() tells which
        else:
            time = event.timestamp
            if time is None:
                event.timestamp = at_ms(record_ms)
                return event
            if 0 <= (ms := to_ms(time)) <= record_ms + DAY_MS:
                return event
            if ms > 0:
                raise TimestampInFutureError(f"timestamp {time.isoformat()} is in the future")
    return parse(value, record_ms)
