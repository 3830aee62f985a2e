"""POST /api/event: the events of Plausible's script and of its events API.

Facts: plausible.io/docs/events-api.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import msgspec
from aiohttp.web import Request, Response

from app.errors import CounterError, InvalidFieldError, RejectedError, WriteKeyError
from app.ingest.collector import Collector
from web.http import paths
from web.http.views import ApiView, json_response, page, read_body
from web.ingest.dialects import Fields, first, object_of, part, user_agent_of, without_nothing
from web.ingest.doors import take_one
from web.ingest.keys import WriteKeys
from web.ingest.position import positioned
from web.ingest.senders import Senders

ACCEPTED = 202
OK = "ok"
DROPPED = {"x-plausible-dropped": "1"}
PAGE_VIEW, THEIR_PAGE_VIEW = "page_view", "pageview"


def register(app: Any, collector: Collector, keys: WriteKeys, senders: Senders) -> None:
    """Add the view to the app of a collector."""

    @page(app, paths.PLAUSIBLE)
    class Plausible(ApiView):
        """POST {"name", "url", "domain", ...} -> 202 ok."""

        async def post(self, request: Request) -> Response:
            body = await read_body(request)
            try:
                stored = await take_one(
                    request,
                    body,
                    partial(_of_request, keys, request),
                    collector,
                    senders.of(request),
                )
            except WriteKeyError:  # as Plausible does with a domain that it does not know
                return Response(status=ACCEPTED, text=OK, headers=DROPPED)
            except RejectedError as exc:
                return error(exc)
            return positioned(request, Response(status=ACCEPTED, text=OK), stored)


def _of_request(keys: WriteKeys, request: Request, body: bytes) -> Fields:
    fields = fields_of(user_agent_of(request), body)
    if keys.is_open:
        return fields
    return without_nothing({**fields, "app_name": keys.app_of(request, fields.get("app_name"))})


def error(exc: CounterError) -> Response:
    """Return Plausible's kind of error, with ours in it."""
    found = exc.as_dict()
    return json_response({**found, "errors": {"event": [found["message"]]}}, exc.status)


def fields_of(user_agent: str | None, body: bytes) -> Fields:
    """Return our fields of an event; names have a short form."""
    event = object_of(body)
    name = first(event.get("name"), event.get("n"))
    properties = _props(first(event.get("props"), event.get("p"), event.get("m")))
    revenue = part(event, "revenue") or part(event, "$")
    return without_nothing(
        {
            "type": PAGE_VIEW if name == THEIR_PAGE_VIEW else name,
            "url": first(event.get("url"), event.get("u")),
            "app_name": first(event.get("domain"), event.get("d")),
            "referrer": first(event.get("referrer"), event.get("r")),
            "user_agent": user_agent,
            "value": _amount(revenue.get("amount")),
            "properties": {**properties, **({"revenue": revenue} if revenue else {})} or None,
        }
    )


def _props(given: object) -> Fields:
    """Return properties; older scripts send them as text of JSON."""
    if isinstance(given, str):
        try:
            given = msgspec.json.decode(given)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            raise InvalidFieldError("props is not JSON") from exc
    if given is not None and not isinstance(given, dict):
        raise InvalidFieldError("props is not an object")
    return given or {}


def _amount(given: object) -> Any:
    """Return an amount of money; a text of one is taken, too."""
    if not isinstance(given, str):
        return given
    try:
        amount = float(given)
    except ValueError as exc:
        raise InvalidFieldError("the amount of revenue is not a number") from exc
    if not math.isfinite(amount):  # JSON has no word for it
        raise InvalidFieldError("the amount of revenue is not a number")
    return amount
