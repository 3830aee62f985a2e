"""The HTTP server under Faust's web views: what no view answers is JSON with a code, too.

aiohttp answers an unknown path, a wrong method or a request that is not HTTP with plain text, and
Faust adds pages of its own, its tables among them. A driver of our own changes both, through what
both projects offer for it: Web is Faust's driver interface, RequestHandler.handle_error aiohttp's.
"""

from __future__ import annotations

import logging
from typing import Any

from aiohttp import web
from aiohttp.hdrs import EXPECT
from aiohttp.typedefs import Handler
from aiohttp.web_protocol import RequestHandler
from faust.web.drivers.aiohttp import Web

from app.errors import (
    BadRequestError,
    BodyTooLargeError,
    CounterError,
    MethodNotAllowedError,
    NotFoundError,
)
from web.http.views import ApiView, error_response

log = logging.getLogger(__name__)

Direct = dict[tuple[str, str], Handler]  # (method, path without parts that vary): its view

NOT_FOUND, METHOD_NOT_ALLOWED, TOO_LARGE, INTERNAL_ERROR = 404, 405, 413, 500


class Server(Web):
    """Faust's web driver without its pages; use as app.web = Server(app, body_max_bytes)."""

    default_blueprints = production_blueprints = debug_blueprints = optional_blueprints = ()

    def __init__(self, app: Any, body_max_bytes: int) -> None:
        super().__init__(app)
        self.web_app = web.Application(
            client_max_size=body_max_bytes, middlewares=[answer_errors_in_json]
        )
        self._direct: Direct = {}
        self._runner = _Runner(self.web_app, self._direct)

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
        for method in sorted(handler.get_methods()):
            answer = handler.handler(method.lower(), has_parts=has_parts)
            self.web_app.router.add_route(method, pattern, answer)
            if not has_parts:
                self._direct[method, pattern] = answer


@web.middleware
async def answer_errors_in_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what aiohttp or a bug raises into an answer with a code."""
    try:
        return await handler(request)
    except web.HTTPException as exc:
        answer = error_response(_named(exc, request))
        if "Allow" in exc.headers:
            answer.headers["Allow"] = exc.headers["Allow"]
        return answer
    except CounterError as exc:
        return error_response(exc)
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return error_response(CounterError("the request failed"))


def _named(exc: web.HTTPException, request: web.Request) -> CounterError:
    """Return our error for an answer of aiohttp's."""
    if exc.status == NOT_FOUND:
        return NotFoundError(f"nothing is served at {request.path}")
    if exc.status == METHOD_NOT_ALLOWED:
        return MethodNotAllowedError(f"{request.method} is not served at {request.path}")
    if exc.status == TOO_LARGE:
        return BodyTooLargeError("the body is too large")
    return BadRequestError(exc.reason)


class _RequestHandler(RequestHandler):
    """One connection; answers what is not HTTP with 400, and without a traceback in the log."""

    __slots__ = ()

    def log_exception(self, *args: Any, **kwargs: Any) -> None:
        """Say nothing about a body that cannot be unpacked: its sender has got the answer."""
        if not isinstance(kwargs.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*args, **kwargs)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the answer to a request that never reached a view; the connection is closed."""
        if status >= INTERNAL_ERROR or request.writer.output_size:
            return super().handle_error(request, status, exc, message)
        answer = error_response(BadRequestError(message or "the request is not HTTP"))
        answer.force_close()
        return answer


class _Runner(web.AppRunner):
    """Has the views of plain paths called at once; aiohttp's own way there costs 13 us.

    Only while nothing stands between a request and its view: a middleware that was added, such as
    the one that asks for the read token, must see every request.
    """

    def __init__(self, app: web.Application, direct: Direct) -> None:
        super().__init__(app, access_log=None)
        self._direct = direct

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        added = [one for one in self.app.middlewares if one is not answer_errors_in_json]
        if added:
            self._direct.clear()
        find, routed = self._direct.get, made.request_handler

        async def answer(request: Any) -> web.StreamResponse:
            handler = find((request.method, request.raw_path))
            if handler is None or EXPECT in request.headers:
                return await routed(request)
            return await answer_errors_in_json(request, handler)

        return _Connections(
            answer,
            request_factory=made.request_factory,
            **made._kwargs,  # noqa: SLF001 - the only way to a server of another class
        )


class _Connections(web.Server):
    def __call__(self) -> RequestHandler:
        return _RequestHandler(self, loop=self._loop, **self._kwargs)
