"""The calls that take events: PUT /event_generate/, POST /track, POST / and POST /events.

All of them take any of the shapes, and answer 2xx only once Kafka has acknowledged.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp.web import Request, Response

from app import metrics
from app.errors import BadRequestError, InvalidFieldError, RejectedError
from app.events.decoding import decode
from app.events.event import MESSAGE_ID_MAX_BYTES, Event
from app.events.packing import PackedRecord, pack
from app.events.positions import EventPositions, shown
from app.ingest.collector import Collector
from app.settings import Settings
from web.http import paths
from web.http.quick import QuickResponse
from web.http.views import (
    ApiView,
    encode_json,
    holding_of,
    json_bytes,
    json_response,
    page,
    read_body,
)
from web.ingest import cloudevents
from web.ingest.bodies import pieces, split_body
from web.ingest.dialects import Dialect
from web.ingest.keys import WriteKeys
from web.ingest.position import is_asked, positioned
from web.ingest.senders import Sender, Senders

SENT_AT_ONCE = 1000  # events of a request that wait for Kafka together
ERROR_BYTES = 150  # of a bad item in the answer; it may have two itself

TEXT = "text/plain; charset=utf-8"


def register(
    app: Any, collector: Collector, settings: Settings, keys: WriteKeys, senders: Senders
) -> None:
    """Add the views to the app of a collector."""
    token = settings.token.get_secret_value().encode()

    @page(app, paths.EVENT_GENERATE)
    class EventGenerate(ApiView):
        """PUT a counter event -> OK."""

        async def put(self, request: Request) -> Response:
            sender = senders.of(request, keys.app_of(request))
            stored = await collector.send_record(await _single(request, sender))
            return positioned(request, QuickResponse(b"OK", TEXT), stored)

    @page(app, paths.TRACK)
    class Track(ApiView):
        """POST an app event, with X-Token -> {"detail":"Event created"}."""

        async def post(self, request: Request) -> Response:
            given = request.headers.get("X-Token", "").encode("utf-8", "surrogateescape")
            # An empty setting must not let an empty header in.
            if not token or not hmac.compare_digest(given, token):
                return json_response({"detail": "Invalid X-Token header"}, 400)
            stored = await collector.send_record(await _single(request, senders.of(request)))
            return positioned(request, json_response({"detail": "Event created"}), stored)

    @page(app, paths.ADS)
    class Ads(ApiView):
        """POST an ads event -> endedSuccessfully."""

        async def post(self, request: Request) -> Response:
            sender = senders.of(request, keys.app_of(request))
            stored = await collector.send_record(await _single(request, sender))
            return positioned(request, QuickResponse(b"endedSuccessfully", TEXT), stored)

    _register_events(app, collector, keys, senders)


def _register_events(app: Any, collector: Collector, keys: WriteKeys, senders: Senders) -> None:
    """Add the view that takes many events at once."""

    @page(app, paths.EVENTS)
    class Events(ApiView):
        """POST one event, an array, NDJSON, CloudEvents -> {"accepted", "rejected", "errors"}."""

        async def post(self, request: Request) -> Response:
            sender = senders.of(request, keys.app_of(request))
            dialect = cloudevents.dialect_of(request.headers)
            body = await read_body(request)
            one = dialect is not None and not cloudevents.is_batch(request.headers)
            items = [body] if one else await split_body(body)
            # Now: once a part is stored, nothing may be refused any more.
            holding_of(request).reserve(len(items) * ERROR_BYTES)
            key = idempotency_key(request, f":{len(items) - 1}")
            given = Given(sender, dialect, key)
            found, stored = await _take(items, collector, given, shows=is_asked(request))
            return positioned(request, json_bytes(found), stored)


async def _single(request: Request, sender: Sender | None) -> PackedRecord:
    """Return the record of the event that is the body; raise the RejectedError it deserves."""
    key = idempotency_key(request)
    return record_of(await read_body(request), now_ms(), sender, message_id=key)


@dataclass(frozen=True)
class Given:
    """What a request says of all its events: see record_of(); key: its Idempotency-Key."""

    sender: Sender | None
    dialect: Dialect | None
    key: str

    def message_id(self, index: int) -> str:
        """Return the message_id of an item that has none."""
        return f"{self.key}:{index}" if self.key else ""


async def _take(
    items: list[bytes], collector: Collector, given: Given, *, shows: bool
) -> tuple[bytes, EventPositions]:
    """Send the good items; return {"accepted", "rejected", "errors"} once Kafka has them.

    shows: "position", too, null where nothing is stored.
    """
    errors: list[bytes] = []  # as JSON: a hundred thousand are 15 MB, encoded at once 0.1 s

    def judge(piece: list[bytes], first: int) -> list[PackedRecord]:
        found, faults = records_of(piece, first, now_ms(), given)
        errors.extend(faults)
        return found

    stored = await send_all(items, collector, judge)
    counts = (len(items) - len(errors), len(errors), b",".join(errors))
    found = b'{"accepted":%d,"rejected":%d,"errors":[%b]' % counts
    if shows:
        found += b',"position":%b' % encode_json(shown(stored) or None)
    return found + b"}", stored


async def send_all(
    items: list[bytes],
    collector: Collector,
    judge: Callable[[list[bytes], int], list[PackedRecord]],
) -> EventPositions:
    """Send what judge() makes of the items, in turns; return where it is once Kafka has it.

    judge: some items and the place of the first of them -> the records of the good ones.
    """
    records: list[PackedRecord] = []
    stored: dict[int, int] = {}
    judged, was_sent = 0, False
    for piece in pieces(items):
        records += judge(piece, judged)
        judged += len(piece)
        if len(records) >= SENT_AT_ONCE:
            stored.update(await collector.send_records(records, admitted=was_sent))
            records, was_sent = [], True
        else:
            await asyncio.sleep(0)
    if records or not was_sent:
        # Of a partition, what is sent later lies behind.
        stored.update(await collector.send_records(records, admitted=was_sent))
    return stored


def now_ms() -> int:
    """Return the clock, ms since 1970."""
    return time.time_ns() // 1_000_000


def idempotency_key(request: Request, longest_place: str = "") -> str:
    """Return the header Idempotency-Key, empty where there is none; raise BadRequestError.

    longest_place: what will stand behind it.
    """
    given = request.headers.get("Idempotency-Key")
    if not given:
        return ""
    try:
        size = len((given + longest_place).encode())
    except UnicodeEncodeError as exc:
        raise BadRequestError("Idempotency-Key is not UTF-8") from exc
    if size > MESSAGE_ID_MAX_BYTES:
        most = MESSAGE_ID_MAX_BYTES - len(longest_place)
        raise BadRequestError(f"Idempotency-Key has more than {most} bytes")
    return given


def record_of(
    body: bytes,
    received_ms: int,
    sender: Sender | None = None,
    dialect: Dialect | None = None,
    message_id: str = "",
) -> PackedRecord:
    """Return the record of one event of any shape; raise the RejectedError it deserves.

    sender: completes the event. message_id: of one that has none. dialect: what it is written in,
    where not in ours.
    """
    try:
        event = decode(body, received_ms) if dialect is None else _said(body, received_ms, dialect)
        if sender is not None:
            sender.complete(event)
        if message_id and event.message_id is None:
            event.message_id = message_id
        return pack(event, received_ms)
    except RejectedError as exc:
        metrics.events_rejected.labels(exc.code).inc()
        raise


def _said(body: bytes, received_ms: int, dialect: Dialect) -> Event:
    """Return what an event of another client means."""
    found = dialect(body)
    if isinstance(found, Event):
        return found
    try:
        value = encode_json(found)
    except UnicodeEncodeError as exc:  # headers may hold any bytes
        raise InvalidFieldError("a field is not UTF-8") from exc
    return decode(value, received_ms)


def records_of(
    items: list[bytes], first: int, received_ms: int, given: Given
) -> tuple[list[PackedRecord], list[bytes]]:
    """Return the records of the good items and {"index", "code", "message"} of each bad one.

    first: the index of the first item in the request.
    """
    records, errors = [], []
    sender, dialect = given.sender, given.dialect
    for index, item in enumerate(items, first):
        try:
            message_id = given.message_id(index)
            records.append(record_of(item, received_ms, sender, dialect, message_id))
        except RejectedError as exc:
            errors.append(encode_json({"index": index, **exc.as_dict()}))
    return records, errors
