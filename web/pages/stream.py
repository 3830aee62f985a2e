"""GET /stream: what the pages show, live, as server-sent events.

event: point, each second: {"at": ms since 1970, …}, with an id. event: panel, when it changed:
{"name", "status", "body"}, status and body as the HTTP call of that panel answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator
from typing import Any

from aiohttp.web import Request, StreamResponse

from web.http import paths
from web.http.client import Clients
from web.http.views import ApiView, page
from web.pages.feed import Feed
from web.pages.seats import Seats

FOLLOWERS_MAX = 500  # some 50 KB each
ONE_ADDRESS_MAX = 100  # of one address, so that one reader leaves room for others
SEND_BUFFER_BYTES = 32_768  # of the system; more would hide for long that nobody reads
SLOW_S = 10.0  # a page that takes nothing for so long is hung up on
HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # a proxy before it passes events on at once
    "X-Content-Type-Options": "nosniff",
}


def register(app: Any, feed: Feed, clients: Clients) -> None:
    """Add the stream to the app of a collector."""
    seats = Seats(clients)

    async def close(_web_app: object) -> None:
        feed.close()

    app.web.web_app.on_shutdown.append(close)

    @page(app, paths.STREAM)
    class Stream(ApiView):
        """GET -> server-sent events; Last-Event-ID: go on after that one."""

        async def get(self, request: Request) -> StreamResponse:
            with seats.taken(request, FOLLOWERS_MAX, ONE_ADDRESS_MAX):
                response = StreamResponse(headers=HEADERS)
                await response.prepare(request)
                if request.method == "GET":
                    last_id = request.headers.get("Last-Event-ID", "")
                    await send(feed.follow(last_id), request, response)
            return response


async def send(
    following: AsyncGenerator[bytes, None], request: Request, response: StreamResponse
) -> None:
    """Write events until the other side has gone, or does not read."""
    if request.transport is not None and (sock := request.transport.get_extra_info("socket")):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    async with contextlib.aclosing(following) as events:
        async for text in events:
            try:
                async with asyncio.timeout(SLOW_S):
                    await response.write(text)
            except TimeoutError:
                if request.transport is not None:
                    request.transport.abort()
                return
            except ConnectionError:
                return
