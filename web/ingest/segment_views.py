"""The calls of Segment's clients: POST /v1/batch, /v1/track and the like, and their settings.

Their success is exactly 200 with JSON, whatever happened to single events of a batch; a redirect or
a 4xx for what passes would lose events.
"""

from __future__ import annotations

from typing import Any

from aiohttp.web import Request, Response

from app.errors import BadRequestError, NotFoundError
from app.ingest.collector import Collector
from web.http import paths
from web.http.views import ApiView, json_response, page, read_body
from web.ingest import segment, segment_quick
from web.ingest.bodies import split_body
from web.ingest.collect import now_ms
from web.ingest.dialects import Fields, object_of
from web.ingest.doors import Faults, take, take_one
from web.ingest.keys import WriteKeys
from web.ingest.position import positioned
from web.ingest.senders import Senders


def register(
    app: Any, collector: Collector, keys: WriteKeys, senders: Senders, base_path: str = ""
) -> None:
    """Add the views to the app of a collector; base_path: of a proxy, which may strip it."""

    @page(app, paths.SEGMENT_BATCH)
    class SegmentBatch(ApiView):
        """POST {"batch": [...], "sentAt", "writeKey", "context"} -> {"success": true}."""

        async def post(self, request: Request) -> Response:
            return await _batch(request, keys, collector, senders)

    @page(app, paths.SEGMENT)
    class Segment(ApiView):
        """POST one event, or the browser's batch -> {"success": true}."""

        async def post(self, request: Request, call: str) -> Response:
            if call == segment.BATCH:
                return await _batch(request, keys, collector, senders)
            if call == segment.METRICS:
                await read_body(request)
                return answer(Faults())
            kind = segment.SHORT.get(call, call)
            if kind not in segment.KINDS:
                raise NotFoundError(f"no such path: {request.path}")
            return await _one(request, kind, keys, collector, senders)

    @page(app, paths.SEGMENT_SETTINGS)
    class SegmentSettings(ApiView):
        """GET -> what the browser's client needs to know to send events here."""

        async def get(self, request: Request, key: str) -> Response:
            keys.app_of(request, key)
            if not request.host.isascii():
                raise BadRequestError("the Host header is not ASCII")
            is_https = request.headers.get("X-Forwarded-Proto", request.scheme) == "https"
            host = f"{request.host}{base_path}/v1"
            return json_response(segment.settings_of(key, host, "https" if is_https else "http"))


async def _batch(
    request: Request, keys: WriteKeys, collector: Collector, senders: Senders
) -> Response:
    found = segment.envelope_of(await read_body(request))
    app_name = keys.app_of(request, segment.said(found.write_key))
    sent_at, context = segment.said(found.sent_at), segment.said(found.context)
    items = await split_body(bytes(found.batch))
    mapping = segment_quick.dialect(now_ms(), sent_at, context)
    faults, stored = await take(items, mapping, collector, senders.of(request, app_name))
    return positioned(request, answer(faults), stored)


async def _one(
    request: Request, kind: str, keys: WriteKeys, collector: Collector, senders: Senders
) -> Response:
    body = await read_body(request)
    to_fields = segment.dialect(now_ms(), kind)

    def mapping(item: bytes) -> Fields:
        given = [] if keys.is_open else [object_of(item).get("writeKey")]
        app_name = keys.app_of(request, *given)
        return {**to_fields(item), **({"app_name": app_name} if app_name else {})}

    stored = await take_one(request, body, mapping, collector, senders.of(request))
    return positioned(request, answer(Faults()), stored)


def answer(faults: Faults) -> Response:
    """Return success; faults: the events that are not in it."""
    if not faults.number:
        return json_response({"success": True})
    return json_response({"success": True, "rejected": faults.number, "errors": faults.shown})
