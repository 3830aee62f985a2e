"""GET /pixel.gif: an event as the address of an image, for mails and pages without scripts."""

from __future__ import annotations

import time
from base64 import b64decode
from typing import Any

from aiohttp.web import Request, Response

from app import metrics
from app.errors import BadRequestError, InvalidFieldError, RejectedError
from app.events.packing import PackedRecord, pack
from app.events.shapes import from_json
from app.ingest.collector import Collector
from web.http import paths
from web.http.args import args_of
from web.http.views import ApiView, page
from web.ingest.keys import WriteKeys
from web.ingest.position import NAME as POSITION
from web.ingest.position import YES, positioned
from web.ingest.senders import Senders

# 1 x 1, transparent: the smallest GIF89a that every browser shows.
GIF = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
HEADERS = {
    "Content-Type": "image/gif",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
PROPERTY = "properties."
NUMBERS = ("value", "event_value")
TIMES = ("timestamp", "date")
DIGITS_MAX = 20  # what is longer is no time; Python refuses to read thousands of them


def register(app: Any, collector: Collector, keys: WriteKeys, senders: Senders) -> None:
    """Add the view to the app of a collector."""

    @page(app, paths.PIXEL)
    class Pixel(ApiView):
        """GET ?type=VIEW&url=/a&…, the fields of an event -> a GIF, once Kafka has the event."""

        async def get(self, request: Request) -> Response:
            try:
                record = record_of(request, keys, senders)
            except RejectedError as exc:
                metrics.events_rejected.labels(exc.code).inc()
                raise
            stored = await collector.send_record(record)
            return positioned(request, Response(body=GIF, headers=HEADERS), stored)

        async def head(self, request: Request) -> Response:
            """Answer as GET would; whoever only looks what is there has not seen it."""
            record_of(request, keys, senders)
            collector.check_ready()
            return Response(body=GIF, headers=HEADERS)


def record_of(request: Request, keys: WriteKeys, senders: Senders) -> PackedRecord:
    """Return the record of the event in a query string.

    Raises the RejectedError it deserves, BadRequestError or WriteKeyError.
    """
    args = args_of(request.rel_url.raw_query_string)
    sender = senders.of(request, keys.app_of(request), is_browser=True)
    if args.get(POSITION) == YES:  # asked of the call, and no field of the event
        del args[POSITION]
    received_ms = time.time_ns() // 1_000_000
    event = from_json(fields_of(args), received_ms)
    if sender is not None:
        sender.complete(event)
    return pack(event, received_ms)


def fields_of(args: dict[str, str]) -> dict[str, Any]:
    """Return the event in a query string as JSON; properties.x names one of its properties."""
    fields: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    for name, value in args.items():
        if name.startswith(PROPERTY):
            properties[name.removeprefix(PROPERTY)] = value
        elif name in NUMBERS:
            try:
                fields[name] = float(value)
            except ValueError as exc:
                raise InvalidFieldError(f"{name} is not a number") from exc
        elif name in TIMES and len(value) <= DIGITS_MAX and value.isascii() and value.isdigit():
            fields[name] = int(value)
        elif name == "properties":
            raise BadRequestError("write properties as properties.NAME=VALUE")
        else:
            fields[name] = value
    if properties:
        fields["properties"] = properties
    return fields
