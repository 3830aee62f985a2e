"""POST /api/send and /api/batch: the events of Umami's script and of @umami/node.

Facts: umami.is/docs/api/sending-stats. The cache that an answer gives comes back with the next
event, and names the session: ours is a random UUID.
"""

from __future__ import annotations

import uuid
from functools import partial
from typing import Any

from aiohttp.web import Request, Response

from app.errors import CounterError, InvalidFieldError
from app.ingest.collector import Collector
from web.http import paths
from web.http.views import ApiView, json_response, page, read_body
from web.ingest.bodies import split_body
from web.ingest.dialects import Fields, first, object_of, user_agent_of, without_nothing
from web.ingest.doors import take, take_one
from web.ingest.keys import WriteKeys
from web.ingest.position import positioned
from web.ingest.senders import Senders

CACHE = "x-umami-cache"
PAGE_VIEW, EVENT, IDENTIFY = "page_view", "event", "identify"
KINDS = {EVENT, IDENTIFY}
KEPT = ("title", "language", "screen", "tag")  # among the properties


def register(app: Any, collector: Collector, keys: WriteKeys, senders: Senders) -> None:
    """Add the views to the app of a collector."""

    @page(app, paths.UMAMI)
    class UmamiSend(ApiView):
        """POST {"type", "payload"} -> {"cache", "sessionId", "visitId"}."""

        async def post(self, request: Request) -> Response:
            body = await read_body(request)
            session = session_of(request)
            try:
                stored = await take_one(
                    request,
                    body,
                    partial(_of_request, keys, request),
                    collector,
                    senders.of(request),
                )
            except CounterError as exc:
                if exc.retry_after_s is not None:
                    raise
                return error(exc)
            session = session or str(uuid.uuid4())
            found = {"cache": session, "sessionId": session, "visitId": session}
            return positioned(request, json_response(found), stored)

    @page(app, paths.UMAMI_BATCH)
    class UmamiBatch(ApiView):
        """POST [{"type", "payload"}, ...] -> {"size", "processed", "errors", "details"}."""

        async def post(self, request: Request) -> Response:
            items = await split_body(await read_body(request))
            mapping = partial(_of_request, keys, request)
            faults, stored = await take(items, mapping, collector, senders.of(request))
            processed = len(items) - faults.number
            found = {"size": len(items), "processed": processed, "errors": faults.number}
            response = json_response({**found, "details": faults.shown})
            return positioned(request, response, stored)


def _of_request(keys: WriteKeys, request: Request, item: bytes) -> Fields:
    fields = fields_of(user_agent_of(request), session_of(request), item)
    if keys.is_open:
        return fields
    return without_nothing({**fields, "app_name": keys.app_of(request, fields.get("app_name"))})


def error(exc: CounterError) -> Response:
    """Return Umami's kind of error, with ours in it."""
    found = exc.as_dict()
    return json_response({**found, "error": {**found, "status": exc.status}}, exc.status)


def session_of(request: Request) -> str | None:
    """Return the session that the cache names."""
    try:
        return str(uuid.UUID(request.headers.get(CACHE, "")))
    except ValueError:
        return None


def fields_of(user_agent: str | None, session: str | None, item: bytes) -> Fields:
    """Return our fields of an event."""
    event = object_of(item)
    kind, payload = event.get("type"), event.get("payload")
    if not isinstance(kind, str) or kind not in KINDS:
        raise InvalidFieldError(f"type must be one of {', '.join(sorted(KINDS))}")
    if not isinstance(payload, dict):
        raise InvalidFieldError("payload is not an object")
    data = payload.get("data")
    if data is not None and not isinstance(data, dict):
        raise InvalidFieldError("data is not an object")
    kept = {name: payload[name] for name in KEPT if first(payload.get(name)) is not None}
    return without_nothing(
        {
            "type": IDENTIFY if kind == IDENTIFY else first(payload.get("name"), PAGE_VIEW),
            "url": _page(payload.get("hostname"), payload.get("url")),
            "app_name": payload.get("website"),
            "user_id": first(payload.get("id")),
            "session_id": session,
            "ip": first(payload.get("ip")),
            "referrer": first(payload.get("referrer")),
            "user_agent": first(payload.get("userAgent"), user_agent),
            "timestamp": payload.get("timestamp"),
            "properties": {**kept, **(data or {})} or None,
        }
    )


def _page(hostname: object, url: object) -> Any:
    """Return hostname and path as one; what is whole, or no text, stays as it is."""
    if not isinstance(hostname, str) or not isinstance(url, str) or "://" in url:
        return first(url, hostname)
    return hostname + url
