"""Queries at the collector: passed on to a count worker, whose answer is passed back as it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import aiohttp
from aiohttp.web import Request, Response
from yarl import URL

from app.errors import UnavailableError
from app.settings import Settings
from web.views import ApiView, page, read_body

QUERIES = {
    "/event_track/": "post",
    "/event_report/": "post",
    "/counts/{counter}": "get",
    "/counters": "get",
}
KEPT_HEADERS = ("Content-Type", "Retry-After", "Allow")
UNAVAILABLE = 503
LAST_FOR_S = 2.0  # a worker that did not answer is asked last for so long
TIMEOUT = aiohttp.ClientTimeout(total=2.5, sock_connect=1.0)  # more than a worker asks its like
BUDGET_S = 5.0  # for all of them


class CountWorkers:
    """Asks the count workers in turn; any of them answers for all."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = list(urls)
        self._failed_at = dict.fromkeys(urls, float("-inf"))
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, request: Request) -> Response:
        """Return the first answer that is not 503, else the last 503.

        Raises UnavailableError when none answers within BUDGET_S.
        """
        body = await read_body(request)
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=TIMEOUT, auto_decompress=False)
        answer = None
        try:
            async with asyncio.timeout(BUDGET_S):
                for url in self._in_turn():
                    answer = await self._try(self._session, url, request, body) or answer
                    if answer is not None and answer.status != UNAVAILABLE:
                        return answer
        except TimeoutError:
            pass
        if answer is None:
            raise UnavailableError("no count worker answers")
        return answer

    async def close(self, _app: object) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    def _in_turn(self) -> list[str]:
        self._urls.append(self._urls.pop(0))
        recent = time.monotonic() - LAST_FOR_S
        return sorted(self._urls, key=lambda url: self._failed_at[url] > recent)

    async def _try(
        self, session: aiohttp.ClientSession, url: str, request: Request, body: bytes
    ) -> Response | None:
        """Return one worker's answer; None when it gives none."""
        target = URL(url.rstrip("/") + request.raw_path, encoded=True)
        headers = {"Content-Type": request.headers.get("Content-Type", "application/json")}
        for _ in range(2):  # a connection kept for reuse may have been closed by the worker
            try:
                async with session.request(
                    request.method, target, data=body or None, headers=headers
                ) as answer:
                    kept = {k: answer.headers[k] for k in KEPT_HEADERS if k in answer.headers}
                    return Response(status=answer.status, body=await answer.read(), headers=kept)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                continue
            except (aiohttp.ClientError, TimeoutError):
                break
        self._failed_at[url] = time.monotonic()
        return None


def register(app: Any, settings: Settings) -> None:
    """Add the queries to the app of a collector."""
    workers = CountWorkers([url for url in settings.count_urls.split(",") if url])
    app.web.web_app.on_cleanup.append(workers.close)

    async def ask(_view: ApiView, request: Request, **_parts: str) -> Response:
        return await workers.ask(request)

    for path, method in QUERIES.items():
        page(app, path)(type("PassedOn", (ApiView,), {method: ask, "__doc__": "Passed on."}))
