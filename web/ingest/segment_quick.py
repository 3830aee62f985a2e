"""Most events of a batch of Segment's clients, mapped in half the time.

They are tracked, have their fields as the packages send them, and nothing in them needs a second
look. All others go the way of web.ingest.segment, which would make the same of these.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

import msgspec

from app.errors import InvalidTimestampError
from app.events.decoding import BACKSLASH
from app.events.event import (
    EPOCH,
    FUTURE_LIMIT,
    URL_MAX_BYTES,
    AwareTime,
    Event,
    ShortMessageId,
    ShortReferrer,
    ShortType,
    ShortUrl,
    ShortUserAgent,
    at_ms,
)
from app.events.shapes import may_be_deep
from web.ingest.dialects import Dialect, Fields, object_of
from web.ingest.segment import SenderClock, fields_of, shared_of


class _Page(msgspec.Struct, gc=False):
    url: ShortUrl | None = None
    referrer: ShortReferrer | None = None


class _Context(msgspec.Struct, rename="camel", gc=False):
    page: _Page | None = None
    ip: str | None = None
    user_agent: ShortUserAgent | None = None
    session_id: str | None = None


class _Tracked(msgspec.Struct, rename="camel", gc=False):
    type: Literal["track"]
    event: ShortType
    user_id: str | None = None
    anonymous_id: str | None = None
    message_id: ShortMessageId | None = None
    timestamp: AwareTime | None = None
    original_timestamp: AwareTime | None = None
    sent_at: None = None  # that of the batch counts
    context: _Context | None = None
    properties: dict[str, Any] | None = None


_NO_CONTEXT, _NO_PAGE = _Context(), _Page()


SHORT_URL = URL_MAX_BYTES // 4


def dialect(received_ms: int, sent_at: object = None, context: object = None) -> Dialect:
    """Return what maps the events of a batch; as web.ingest.segment.dialect()."""
    shared = shared_of(context)
    clock = SenderClock(received_ms, sent_at)
    if shared:
        return lambda item: fields_of(clock, "", shared, object_of(item))
    return partial(_mapped, clock, at_ms(received_ms) + FUTURE_LIMIT)


def _mapped(clock: SenderClock, latest: datetime, item: bytes) -> Fields | Event:
    event = object_of(item)
    # A backslash may hide a NUL; see app.events.decoding.
    if BACKSLASH not in item and not may_be_deep(item):
        found = _tracked(event, clock, latest)
        if found is not None:
            return found
    return fields_of(clock, "", {}, event)


def _tracked(event: Fields, clock: SenderClock, latest: datetime) -> Event | None:
    """Return the event of a track call; None where it needs a second look.

    latest: of its times.
    """
    try:
        found = msgspec.convert(event, _Tracked)
        time = _time(found, clock)
    except (msgspec.ValidationError, InvalidTimestampError):
        return None
    if time is not None and not EPOCH <= time <= latest:
        return None
    properties = found.properties
    context = found.context or _NO_CONTEXT
    page = context.page or _NO_PAGE
    url = properties.get("url") if properties else None
    if url is not None and (not isinstance(url, str) or len(url) > SHORT_URL):
        return None
    return Event(
        type=found.event,
        url=url or page.url or None,
        timestamp=time,
        user_id=found.user_id or found.anonymous_id or None,
        session_id=context.session_id or None,
        ip=context.ip or None,
        message_id=found.message_id,
        referrer=page.referrer or None,
        user_agent=context.user_agent or None,
        properties=properties or None,
    )


def _time(found: _Tracked, clock: SenderClock) -> datetime | None:
    """Return when it happened, by our clock; raise InvalidTimestampError."""
    said = found.original_timestamp or found.timestamp
    if said is None:
        return None
    if said < EPOCH:
        raise InvalidTimestampError("before 1970")
    time = clock.corrected(said, is_original=found.original_timestamp is not None)
    return time if time.tzinfo is UTC else time.astimezone(UTC)
