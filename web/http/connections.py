"""The connections of a server: how many, for how long, and what they hold in memory."""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import Awaitable, Callable
from typing import Any, cast

import msgspec
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from app.errors import BadRequestError, OverloadedError
from web.http.bodies import FREE_BYTES, Bodies, Holding
from web.http.views import error_response

log = logging.getLogger(__name__)

IDLE_S = 75.0  # without a whole head; more than the 60 s for which proxies keep connections
CONNECTIONS_MAX = 10_000  # some 15 KB each
SLOW_S = 10.0  # a connection whose answer takes longer is hung up on
SLOW_BYTES_PER_S = 262_144  # and so many of a long one in each second more: 2 Mbit/s
FILES_RESERVED = 200  # of the process, for Kafka, RocksDB and the like
INTERNAL_ERROR = 500
_FULL = OverloadedError("too many connections are open")
_FULL_BODY = msgspec.json.encode(_FULL.as_dict())
FULL = (
    b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nRetry-After: %d\r\n"
    b"Content-Length: %d\r\nConnection: close\r\n\r\n%b"
) % (_FULL.retry_after_s or 1, len(_FULL_BODY), _FULL_BODY)


class Limits:
    """What all connections of a server share."""

    def __init__(self, bodies: Bodies, connections_max: int = CONNECTIONS_MAX) -> None:
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if files != resource.RLIM_INFINITY:
            connections_max = min(connections_max, max(files - FILES_RESERVED, 1))
        self.bodies = bodies
        self.connections_max = connections_max
        self.connections = 0


class Connection(RequestHandler):
    """One connection; answers what is not HTTP with 400, and without a traceback in the log."""

    __slots__ = ("holding", "limits")

    def __init__(self, limits: Limits, manager: web.Server, **options: Any) -> None:
        super().__init__(manager, **options)
        self.limits = limits
        self.holding = Holding(limits.bodies)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Serve it, or say that there are too many."""
        limits = self.limits
        if limits.connections >= limits.connections_max:
            refused = cast("asyncio.Transport", transport)
            refused.write(FULL)
            refused.close()
            self._force_close = True
            self._manager = None  # what comes and what ends is left unread
            return
        limits.connections += 1
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Make room for another."""
        if self._manager is not None:
            self.limits.connections -= 1
        super().connection_lost(exc)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer, counted until it is sent; hang up on who does not take it.

        Returns it, and whether the connection is of no use any more.
        """
        size = len(body) if isinstance(body := getattr(resp, "body", None), bytes) else 0
        if size <= FREE_BYTES and not self.writing_paused:
            return await super().finish_response(request, resp, start_time)
        self.holding.keep(size)
        try:
            async with asyncio.timeout(SLOW_S + size / SLOW_BYTES_PER_S):
                return await super().finish_response(request, resp, start_time)
        except TimeoutError:
            if self.transport is not None:
                self.transport.abort()
            return resp, True
        finally:
            self.holding.release()

    def log_exception(self, *args: Any, **kwargs: Any) -> None:
        """Say nothing about a body that cannot be read: its sender has got the answer."""
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


class Runner(web.AppRunner):
    """Serves an app, each request through a function of ours.

    make_answer: gets what routes a request and returns what answers it.
    """

    def __init__(
        self,
        app: web.Application,
        limits: Limits,
        make_answer: Callable[[Any], Callable[[Any], Awaitable[web.StreamResponse]]],
    ) -> None:
        super().__init__(app, access_log=None, auto_decompress=False, keepalive_timeout=IDLE_S)
        self._limits = limits
        self._make_answer = make_answer

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Connections(
            self._limits,
            self._make_answer(made.request_handler),
            request_factory=made.request_factory,
            **made._kwargs,  # noqa: SLF001 - the only way to a server of another class
        )


class _Connections(web.Server):
    def __init__(self, limits: Limits, answer: Any, **options: Any) -> None:
        super().__init__(answer, **options)
        self._limits = limits

    def __call__(self) -> RequestHandler:
        return Connection(self._limits, self, loop=self._loop, **self._kwargs)
