"""From the bytes of a record to an event.

decode() takes the canonical form in one step of C and hands all else to app.events.shapes. Both
judge an event by its bytes and its Kafka timestamp alone, never by the clock: so the roles count
and store, and a replay a week later, agree about every record.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from app.errors import InvalidTimestampError, TooLargeError
from app.events.event import EPOCH, EVENT_MAX_BYTES, FUTURE_LIMIT, LAST_TIME, Event, at_ms, to_ms
from app.events.shapes import is_utf8, may_be_deep, parse

BACKSLASH = ord("\\")


class _Strict(Event, gc=False):
    """An event as decoded in one step; a name of another shape sends it to app.events.shapes."""

    date: None = None
    userId: None = None  # noqa: N815 - the name in the clickstream shape
    productId: None = None  # noqa: N815
    messageId: None = None  # noqa: N815
    Url: None = None
    Meta: None = None
    page_url: None = None
    event_category: None = None
    event_value: None = None


_decode_strict = msgspec.json.Decoder(_Strict).decode


def decode(value: bytes, record_ms: int) -> Event:
    """Return the event in the bytes of one record.

    record_ms: the record's Kafka timestamp, ms since 1970; the event time where none is given, and
    what "in the future" is judged by. The returned timestamp is always set, times are in UTC.
    Raises a RejectedError that names the fault.
    """
    if len(value) > EVENT_MAX_BYTES:
        raise TooLargeError(f"the event has {len(value)} bytes")
    recorded, latest = _moments(record_ms)
    # A backslash may hide a NUL, which Postgres cannot store: the slow path looks closer. So it
    # does where a name that the fast one skips may be nested too deep.
    if BACKSLASH not in value and is_utf8(value) and not may_be_deep(value):
        try:
            event = _decode_strict(value)
        except msgspec.MsgspecError:
            pass  # another shape, or a fault: parse() tells which
        else:
            if _set_times(event, recorded, latest):
                return event
    return parse(value, record_ms)


@lru_cache(maxsize=1024)
def _moments(record_ms: int) -> tuple[datetime, datetime]:
    """Return when the record was made and the latest time that its event may have."""
    if 0 <= record_ms < to_ms(LAST_TIME - FUTURE_LIMIT):
        recorded = at_ms(record_ms)
        return recorded, recorded + FUTURE_LIMIT
    raise InvalidTimestampError(f"{record_ms} is not a Kafka timestamp")


def _set_times(event: Event, recorded: datetime, latest: datetime) -> bool:
    """Fill in a missing timestamp, bring times to UTC; False where one needs a closer look."""
    if (received := event.received_at) is not None:
        if not EPOCH <= received <= latest:
            return False
        if received.tzinfo is not UTC:
            event.received_at = received.astimezone(UTC)
    if (time := event.timestamp) is None:
        event.timestamp = recorded
        return True
    if time.tzinfo is not UTC and EPOCH <= time <= latest:
        event.timestamp = time.astimezone(UTC)
    return EPOCH <= time <= latest
