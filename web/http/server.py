"""The HTTP server under Faust's web views: what no view answers is JSON with a code, too.

aiohttp answers an unknown path, a wrong method or a request that is not HTTP with plain text, and
Faust adds pages of its own, its tables among them. A driver of our own changes both, through what
both projects offer for it: Web is Faust's driver interface, RequestHandler.handle_error aiohttp's.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import ClientConnectionResetError, web
from aiohttp.hdrs import EXPECT, METH_OPTIONS
from aiohttp.typedefs import Handler
from faust.web.drivers.aiohttp import Web

from app.errors import (
    BadRequestError,
    BodyTooLargeError,
    CounterError,
    ExpectationError,
    MethodNotAllowedError,
    NotFoundError,
)
from app.settings import Settings
from web.http.bodies import Bodies
from web.http.connections import Limits, Runner
from web.http.guard import Guard, wanted_method
from web.http.paths import Call, CallFinder, Kind, without_base
from web.http.quick import MoreHead, QuickResponse
from web.http.views import ApiView, error_response

log = logging.getLogger(__name__)

NOT_FOUND, METHOD_NOT_ALLOWED, TOO_LARGE, EXPECTATION_FAILED = 404, 405, 413, 417
NO_CONTENT, BAD_REQUEST = 204, 400
BODIES_IN_MEMORY = 8  # as large as one may be; packed ones are there twice


class Server(Web):
    """Faust's web driver without its pages; use as app.web = Server(app, settings)."""

    default_blueprints = production_blueprints = debug_blueprints = optional_blueprints = ()

    def __init__(self, app: Any, settings: Settings) -> None:
        super().__init__(app)
        self.web_app = web.Application(client_max_size=settings.body_max_bytes)
        self.limits = Limits(
            Bodies(settings.body_max_bytes, BODIES_IN_MEMORY * settings.body_max_bytes)
        )
        self.guard = Guard(settings)
        self._base_path = settings.base_path
        self._find = CallFinder().find
        self._direct: dict[tuple[str, str], tuple[Handler, Call | None]] = {}
        self._runner = Runner(self.web_app, self.limits, self._answering)

    @property
    def cors(self) -> Any:
        """Faust's, where it has anything to do: it looks at each answer, 2 us of a PUT's 60."""
        return super().cors if self.cors_options else True

    def route(self, pattern: str, handler: Any, cors_options: Any = None) -> None:
        """Add a view's methods, without the wrapper that Faust puts around each."""
        if not isinstance(handler, ApiView) or cors_options or self.cors_options:
            super().route(pattern, handler, cors_options)
            return
        has_parts = "{" in pattern
        spellings = {pattern, self._base_path + pattern}
        if pattern == "/" and self._base_path:
            spellings.add(self._base_path)
        for method in sorted(handler.get_methods()):
            answer = handler.handler(method.lower(), has_parts=has_parts)
            for path in sorted(spellings):
                self.web_app.router.add_route(method, path, answer)
                if not has_parts:
                    call = self._find(method, pattern)
                    self._direct[method, path] = answer, call
                    if call is not None and call.kind is Kind.EVENTS:  # as many ask, each time
                        self._direct[method, f"{path}?position=1"] = answer, call

    def _answering(self, routed: Handler) -> Callable[[Any], Awaitable[web.StreamResponse]]:
        """Return what answers each request; routed: aiohttp's way to a view, which takes 13 us.

        Views of plain paths are called at once, unless a middleware stands before them.
        """
        if self.web_app.middlewares:
            self._direct.clear()
        direct = self._direct.get

        async def expecting(request: Any) -> web.StreamResponse:
            if not request.headers[EXPECT].isascii():  # what aiohttp cannot say in its error
                raise _unexpected(request)
            return await routed(request)

        async def answer(request: Any) -> web.StreamResponse:
            found = direct((request.method, request.raw_path))
            handler, call = found or (routed, self._call(request, request.method))
            if EXPECT in request.headers:
                handler = expecting
            return await self._serve(request, handler, call)

        return answer

    async def _serve(self, request: Any, handler: Handler, call: Call | None) -> web.StreamResponse:
        """Answer a request, whatever it is and whatever goes wrong."""
        cors: MoreHead | None = None
        try:
            if request.method == METH_OPTIONS and (headers := self._preflight(request)):
                return web.Response(status=NO_CONTENT, headers=headers)
            cors = await self._check(request, call)
            response = await handler(request)
        except web.HTTPException as exc:
            # The request may hold the error, which holds its frames, and those the request.
            response = error_response(_named(exc.with_traceback(None), request))
            if "Allow" in exc.headers:
                response.headers["Allow"] = exc.headers["Allow"]
        except CounterError as exc:
            response = error_response(exc)
        except ClientConnectionResetError:
            log.info("%s %s: the caller has hung up", request.method, request.path)
            response = web.Response(status=BAD_REQUEST)  # for nobody
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            response = error_response(CounterError("the request failed"))
        finally:
            if (holding := request.protocol.holding).bytes:
                holding.release()
        if cors is not None:
            if isinstance(response, QuickResponse):
                response.add_head(cors)
            else:
                response.headers.update(cors.headers)
        return response

    async def _check(self, request: Any, call: Call | None) -> MoreHead | None:
        """Return what the guard says; None where this worker serves nothing that it could guard.

        404 and 405 tell no more than openapi.json does, and need no token.
        """
        try:
            return self.guard.check(request, call)
        except CounterError:
            if call is None or call.kind is Kind.INTERNAL:  # all else needs no token, or is served
                match = await self.web_app.router.resolve(request)
                if match.http_exception is not None:
                    return None
            raise

    def _call(self, request: Any, method: str) -> Call | None:
        """Return the call that a request makes, by the path as aiohttp's router reads it.

        It unescapes all but %2F: what it takes for one part of the path must be one here.
        """
        path = without_base(request.rel_url.path_safe, self._base_path)
        return self._find(method, path)

    def _preflight(self, request: Any) -> Any:
        return self.guard.preflight(request, self._call(request, wanted_method(request)))


def _named(exc: web.HTTPException, request: web.Request) -> CounterError:
    """Return our error for an answer of aiohttp's."""
    if exc.status == NOT_FOUND:
        return NotFoundError(f"no such path: {request.path}")
    if exc.status == METHOD_NOT_ALLOWED:
        return MethodNotAllowedError(f"{request.method} is not allowed at {request.path}")
    if exc.status == TOO_LARGE:
        return BodyTooLargeError("the body is too large")
    if exc.status == EXPECTATION_FAILED:
        return _unexpected(request)
    return BadRequestError(exc.reason)


def _unexpected(request: web.Request) -> ExpectationError:
    return ExpectationError(f"Expect: {request.headers.get(EXPECT, '')[:60]} is not supported")
