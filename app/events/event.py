"""The event in canonical form and its JSON."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta

EVENT_MAX_BYTES = 32_768
FUTURE_LIMIT = timedelta(days=1)
LAST_TIME = datetime(2106, 1, 1, tzinfo=UTC)  # the tables hold seconds since 1970 in four bytes
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
URL_MAX_BYTES = 2048  # with the type it must fit a Postgres index row of 2,704 bytes
TYPE_MAX_BYTES = 255  # a length byte in the keys of the tables
MESSAGE_ID_MAX_BYTES = 255  # as type; a UUID, with a place behind it, has about 40
REFERRER_MAX_BYTES = URL_MAX_BYTES
USER_AGENT_MAX_BYTES = 2048  # browsers send 100 to 400

# A UTF-8 character has at most 4 bytes: up to these lengths no byte count is needed.
ShortType = Annotated[str, Meta(min_length=1, max_length=TYPE_MAX_BYTES // 4)]
ShortUrl = Annotated[str, Meta(max_length=URL_MAX_BYTES // 4)]
ShortMessageId = Annotated[str, Meta(min_length=1, max_length=MESSAGE_ID_MAX_BYTES // 4)]
ShortReferrer = Annotated[str, Meta(max_length=REFERRER_MAX_BYTES // 4)]
ShortUserAgent = Annotated[str, Meta(max_length=USER_AGENT_MAX_BYTES // 4)]
AwareTime = Annotated[datetime, Meta(tz=True)]


class Event(msgspec.Struct, omit_defaults=True, gc=False):
    """One event in canonical form; times are aware, ip and uuid are free text.

    timestamp: event time. received_at: when the collector took it. message_id: the sender's name
    for this event, the same when it is sent again.
    """

    type: ShortType
    url: ShortUrl | None = None
    timestamp: AwareTime | None = None
    user_id: str | None = None
    session_id: str | None = None
    ip: str | None = None
    uuid: str | None = None
    received_at: AwareTime | None = None
    ad_id: str | None = None
    app_name: str | None = None
    product_id: str | None = None
    category: str | None = None
    value: float | None = None
    message_id: ShortMessageId | None = None
    referrer: ShortReferrer | None = None
    user_agent: ShortUserAgent | None = None
    properties: dict[str, Any] | None = None


_encode = msgspec.json.Encoder().encode


def encode(event: Event) -> bytes:
    """Return canonical JSON, without the fields that are not set."""
    return _encode(event)


def partition_key(event: Event) -> bytes:
    """Return the record key in UTF-8: user_id, else session_id, ip, message_id, uuid.

    An event that is sent again has a new uuid, and must meet its first on one partition.
    """
    key = event.user_id or event.session_id or event.ip or event.message_id or event.uuid
    return (key or "").encode()


def message_id_of(event: Event, *, by_uuid: bool) -> str | None:
    """Return what names an event whenever it is sent; an empty text names none.

    by_uuid: whether the uuid of an event without a message_id is one.
    """
    return event.message_id or (event.uuid if by_uuid else None) or None


def at_ms(ms: int) -> datetime:
    """Return the UTC moment of ms since 1970."""
    return EPOCH + timedelta(milliseconds=ms)


def to_ms(time: datetime) -> int:
    """Return ms since 1970 of an aware moment."""
    return int(time.timestamp() * 1000)
