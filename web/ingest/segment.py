"""What the events of Segment's clients mean: analytics-python, analytics-node, the browser's.

Facts: segment.com/docs/connections/spec, and what the packages send.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import msgspec

from app.errors import (
    BodyTooLargeError,
    InvalidFieldError,
    InvalidTimestampError,
    MalformedJsonError,
    MissingTypeError,
)
from app.events.event import EVENT_MAX_BYTES, at_ms
from app.events.malformed import why_not_json
from app.events.shapes import parse_time
from web.ingest.dialects import (
    Fields,
    ToFields,
    first,
    json_of,
    object_of,
    part,
    without_nothing,
)

PAGE_VIEW = "page_view"
KINDS = {"track", "page", "screen", "identify", "group", "alias"}
# The browser's short paths; m is of its own health, and is not kept.
SHORT = {"t": "track", "p": "page", "i": "identify", "s": "screen", "g": "group", "a": "alias"}
BATCH, METRICS = "b", "m"
# To find the batch in it takes 4 ms a MB, in one turn. Nodes's client sends 6 MB.
BODY_MAX_BYTES = 8_388_608
# Between sending and receiving; what differs by more is a clock that is wrong.
CLOCKS_AGREE = timedelta(seconds=60)
SHARED = ("ip", "sessionId", "userAgent")  # what events read of a context, beside its page
SHARED_PAGE = ("url", "referrer")
_NULL = msgspec.Raw(b"null")


class Envelope(msgspec.Struct, rename="camel"):
    """What surrounds a batch, as JSON: nobody knows yet who sends it, and how much it is."""

    batch: msgspec.Raw
    sent_at: msgspec.Raw = _NULL
    write_key: msgspec.Raw = _NULL
    context: msgspec.Raw = _NULL


_decode = msgspec.json.Decoder(Envelope).decode


class SenderClock:
    """Tells when something happened by our clock, where the sender's is wrong.

    By receivedAt - (sentAt - originalTimestamp).
    """

    def __init__(self, received_ms: int, sent_at: object) -> None:
        """sent_at: of what surrounds the events, by the sender's clock."""
        self._received = at_ms(received_ms)
        self._skew = self._behind(sent_at)

    def _behind(self, sent_at: object) -> timedelta | None:
        """Return how much the sender's clock is behind; None where it does not say so."""
        try:
            return self._received - parse_time(sent_at, "sentAt")
        except InvalidTimestampError:  # none, or nothing that helps
            return None

    def corrected(self, time: datetime, *, is_original: bool, sent_at: object = None) -> datetime:
        """Return a moment by our clock; raise InvalidTimestampError where there is no such one.

        A `timestamp` is corrected only where the clocks differ by more than a request takes: it may
        be a moment that the caller has named. is_original: it is no such one. sent_at: of the event
        itself.
        """
        skew = self._skew if sent_at is None else self._behind(sent_at)
        if skew is None or (not is_original and abs(skew) <= CLOCKS_AGREE):
            return time
        try:
            return time + skew
        except OverflowError as exc:
            raise InvalidTimestampError(f"the clock is wrong by {skew.days} days") from exc


def envelope_of(body: bytes) -> Envelope:
    """Return a batch; raise MalformedJsonError, or BodyTooLargeError over BODY_MAX_BYTES."""
    if len(body) > BODY_MAX_BYTES:
        raise BodyTooLargeError(f"the batch has more than {BODY_MAX_BYTES} bytes")
    try:
        found = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise MalformedJsonError(f"not a batch: {why_not_json(body, exc)}") from exc
    if not bytes(found.batch).startswith(b"["):
        raise MalformedJsonError("batch is not an array")
    return found


def said(part_of: msgspec.Raw) -> object:
    """Return a part of what surrounds a batch; raise BodyTooLargeError, MalformedJsonError."""
    if len(text := bytes(part_of)) > EVENT_MAX_BYTES:
        raise BodyTooLargeError(f"context, sentAt or writeKey exceeds {EVENT_MAX_BYTES} bytes")
    return json_of(text)


def shared_of(context: object) -> Fields:
    """Return what events read of the context of their batch.

    A value that is no text refuses each of them, whatever is in it, and so it goes without that.
    """
    if not isinstance(context, dict):
        return {}
    found = {name: _without_parts(context[name]) for name in SHARED if name in context}
    if page := part(context, "page"):
        found["page"] = {n: _without_parts(page[n]) for n in SHARED_PAGE if n in page}
    return found


def _without_parts(value: Any) -> Any:
    return type(value)() if isinstance(value, dict | list) else value


def dialect(
    received_ms: int, kind: str = "", sent_at: object = None, context: object = None
) -> ToFields:
    """Return what maps one event.

    kind: of one that does not say its own. sent_at, context: of the batch around it.
    """
    clock = SenderClock(received_ms, sent_at)
    return partial(_fields_of_item, clock, kind, shared_of(context))


def _fields_of_item(
    clock: SenderClock, kind: str, shared: Mapping[str, Any], item: bytes
) -> Fields:
    return fields_of(clock, kind, shared, object_of(item))


def fields_of(clock: SenderClock, kind: str, shared: Mapping[str, Any], event: Fields) -> Fields:
    """Return our fields of an event; kind and shared: see dialect(). Raise RejectedError."""
    kind = kind or str(event.get("type"))
    if kind not in KINDS:
        raise InvalidFieldError(f"type must be one of {', '.join(sorted(KINDS))}")
    context = {**shared, **part(event, "context")}
    page, properties = part(context, "page"), _properties(kind, event)
    is_page = kind in {"page", "screen"}
    return without_nothing(
        {
            "type": PAGE_VIEW if is_page else _name(event) if kind == "track" else kind,
            "url": first(
                properties.get("url"), page.get("url"), event.get("name") if is_page else None
            ),
            "user_id": first(event.get("userId"), event.get("anonymousId")),
            "session_id": first(context.get("sessionId")),
            "message_id": first(event.get("messageId")),
            "ip": first(context.get("ip")),
            "referrer": first(
                page.get("referrer"), properties.get("referrer") if is_page else None
            ),
            "user_agent": first(context.get("userAgent")),
            "category": first(event.get("category")) if is_page else None,
            "timestamp": _time(event, clock),
            "properties": properties or None,
        }
    )


def _name(event: Fields) -> str:
    """Return the event of a track call; a number is taken as its text, as Segment does."""
    name = event.get("event")
    if name is None or name == "":
        raise MissingTypeError("the track call has no event")
    if not isinstance(name, str):
        raise InvalidFieldError("event is not a string")
    return name


def _properties(kind: str, event: Fields) -> Fields:
    name = "traits" if kind in {"identify", "group"} else "properties"
    found = event.get(name)
    if found is not None and not isinstance(found, dict):
        raise InvalidFieldError(f"{name} is not an object")
    kept = {"group": ("groupId",), "alias": ("previousId",), "page": ("name",), "screen": ("name",)}
    more = {key: event[key] for key in kept.get(kind, ()) if event.get(key) is not None}
    return {**more, **(found or {})}


def _time(event: Fields, clock: SenderClock) -> Any:
    """Return when it happened, by our clock where the sender's is wrong."""
    original, timestamp = event.get("originalTimestamp"), event.get("timestamp")
    if (said := first(original, timestamp)) is None:
        return None
    time = parse_time(said, "timestamp" if original is None else "originalTimestamp")
    is_original = first(original) is not None
    own = first(event.get("sentAt"))
    return clock.corrected(time, is_original=is_original, sent_at=own).isoformat()


def settings_of(key: str, host: str, scheme: str) -> Fields:
    """Return what the browser's client asks for first; host: with the path to /v1."""
    integration = {"apiKey": key, "apiHost": host, "protocol": scheme, "unbundledIntegrations": []}
    return {
        "integrations": {"Segment.io": integration},
        "plan": {"track": {"__default": {"enabled": True, "integrations": {}}}},
        "edgeFunction": {},
        "analyticsNextEnabled": True,
        "middlewareSettings": {},
        "enabledMiddleware": {},
        "metrics": {"sampleRate": 0},
        "legacyVideoPluginsEnabled": False,
        "remotePlugins": [],
    }
