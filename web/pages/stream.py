"""GET /stream: what the pages show, live, as server-sent events.

event: point, each second: {"at": ms since 1970, …}, with an id. event: panel, when it changed:
{"name", "status", "body"}, status and body as the HTTP call of that panel answers.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from aiohttp.web import Request, StreamResponse

from app.errors import OverloadedError
from web.http import paths
from web.http.views import ApiView, page
from web.pages.feed import Feed

FOLLOWERS_MAX = 500  # some 50 KB each
SLOW_S = 10.0  # a page that takes nothing for so long is hung up on
HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # a proxy before it passes events on at once
    "X-Content-Type-Options": "nosniff",
}


def register(app: Any, feed: Feed) -> None:
    """Add the stream to the app of a collector."""

    async def close(_web_app: object) -> None:
        feed.close()

    app.web.web_app.on_shutdown.append(close)

    @page(app, paths.STREAM)
    class Stream(ApiView):
        """GET -> server-sent events; Last-Event-ID: go on after that one."""

        async def get(self, request: Request) -> StreamResponse:
            if feed.followers >= FOLLOWERS_MAX:
                raise OverloadedError(f"{FOLLOWERS_MAX} pages are open already")
            response = StreamResponse(headers=HEADERS)
            await response.prepare(request)
            if request.method == "GET":
                await send(feed, request, response)
            return response


async def send(feed: Feed, request: Request, response: StreamResponse) -> None:
    """Write events until the other side has gone, or does not read."""
    last_id = request.headers.get("Last-Event-ID", "")
    async with contextlib.aclosing(feed.follow(last_id)) as events:
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
