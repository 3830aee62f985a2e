"""The read token: with one set, figures are only for those who send it.

What takes events, the state of the worker and the files of the pages stay open (web.http.paths).
"""

from __future__ import annotations

import hmac
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from app.errors import UnauthorizedError
from web.http.paths import CallFinder, Kind
from web.http.views import error_response

# All else asks, a path that is not declared too.
OPEN = {Kind.EVENTS, Kind.PAGE, Kind.PROBE}

_find = CallFinder().find


def register(app: Any, token: str) -> None:
    """Protect the app of a collector; an empty token leaves everything open."""
    if token:
        app.web.web_app.middlewares.append(middleware(token))


def middleware(token: str) -> Middleware:
    """Return what asks for the token."""
    expected = token.encode()

    @web.middleware
    async def ask_for_token(request: web.Request, handler: Handler) -> web.StreamResponse:
        if is_open(request.method, request.path) or knows(request, expected):
            return await handler(request)
        answer = error_response(UnauthorizedError(f"{request.path} needs the read token"))
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer

    return ask_for_token


def is_open(method: str, path: str) -> bool:
    """Return whether a call needs no token."""
    call = _find(method, path)
    return call is not None and call.kind in OPEN


def knows(request: web.Request, expected: bytes) -> bool:
    """Return whether a request carries the token."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(
        given.strip().encode("utf-8", "surrogateescape"), expected
    )
