"""Queries at the collector: handed to a count worker, many at a time; its answers go back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import aiohttp
import msgspec
from aiohttp.web import Request, Response

from app.errors import UnavailableError
from app.settings import Settings
from web.queries import Answer, Query, post_queries
from web.views import ApiView, page, read_body

QUERIES = {
    "/event_track/": "post",
    "/event_report/": "post",
    "/counts/{counter}": "get",
    "/counters": "get",
    "/stats/top_pages": "get",
    "/stats/bots": "get",
    "/stats/page_views": "get",
    "/stats/users/{user_id}/sessions": "get",
    "/stats/active_users": "get",
    "/stats/ads": "get",
    "/stats/ads/{ad_id}": "get",
}
UNAVAILABLE = 503
LAST_FOR_S = 2.0  # a worker that did not answer is asked last for so long
TIMEOUT = aiohttp.ClientTimeout(total=2.5, sock_connect=1.0)  # more than a worker asks its like
BUDGET_S = 5.0  # for all of them
AT_ONCE = 256  # queries in one request: some 5 ms of a count worker
STATS = "/stats/"  # may take a while: each in a request of its own


class CountWorkers:
    """Asks the count workers in turn; any of them answers for all."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._lines = [_Line(url) for url in urls]

    async def ask(self, query: Query) -> Answer:
        """Return the first answer that is not 503, else the last 503.

        Raises UnavailableError when none answers within BUDGET_S.
        """
        if len(self._lines) == 1:  # its own time limit is the budget then
            answer = await self._lines[0].ask(query)
        else:
            answer = await self._ask_in_turn(query)
        if answer is None:
            raise UnavailableError("no count worker answers")
        return answer

    async def _ask_in_turn(self, query: Query) -> Answer | None:
        answer = None
        try:
            async with asyncio.timeout(BUDGET_S):
                for line in self._in_turn():
                    answer = await line.ask(query) or answer
                    if answer is not None and answer.status != UNAVAILABLE:
                        return answer
        except TimeoutError:
            pass
        return answer

    async def close(self, _app: object) -> None:
        """Close the connections."""
        await asyncio.gather(*(line.close() for line in self._lines))

    def _in_turn(self) -> list[_Line]:
        self._lines.append(self._lines.pop(0))
        recent = time.monotonic() - LAST_FOR_S
        return sorted(self._lines, key=lambda line: line.failed_at > recent)


class _Line:
    """Queries to one worker: while a request is under way, the next ones gather."""

    def __init__(self, url: str) -> None:
        self.failed_at = float("-inf")
        self._url = url
        self._waiting: list[tuple[Query, asyncio.Future[Answer | None]]] = []
        self._asking: asyncio.Task[None] | None = None
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, query: Query) -> Answer | None:
        """Return the worker's answer; None when it gives none."""
        if query.path.startswith(STATS):
            return (await self._try([query]))[0]
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer | None] = loop.create_future()
        self._waiting.append((query, answer))
        if self._asking is None:
            self._asking = loop.create_task(self._ask_waiting())
        return await answer

    async def close(self) -> None:
        """Close the connection."""
        if self._session is not None:
            await self._session.close()

    async def _ask_waiting(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(0)  # requests that have arrived by now come along
                asked, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
                answers = await self._try([query for query, _ in asked])
                for (_, waiter), answer in zip(asked, answers, strict=True):
                    if not waiter.done():
                        waiter.set_result(answer)
        finally:
            self._asking = None

    async def _try(self, queries: list[Query]) -> Sequence[Answer | None]:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        for _ in range(2):  # a connection kept for reuse may have been closed by the worker
            try:
                return await post_queries(self._session, self._url, queries, TIMEOUT)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                continue
            except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError):
                break
        self.failed_at = time.monotonic()
        return [None] * len(queries)


def register(app: Any, settings: Settings) -> CountWorkers:
    """Add the queries to the app of a collector; return who is asked."""
    workers = CountWorkers([url for url in settings.count_urls.split(",") if url])
    app.web.web_app.on_cleanup.append(workers.close)

    async def ask(_view: ApiView, request: Request, **_parts: str) -> Response:
        query = Query(request.method, request.raw_path, await read_body(request))
        return (await workers.ask(query)).response()

    for path, method in QUERIES.items():
        page(app, path)(type("PassedOn", (ApiView,), {method: ask, "__doc__": "Passed on."}))
    return workers
