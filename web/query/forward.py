"""Queries at the collector: handed to a count worker; its answers go back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp.web import Request, Response

from app.errors import KafkaUnavailableError, UnavailableError
from app.settings import Settings
from web.http.paths import CALLS, without_base
from web.http.views import ApiView, page, read_body
from web.http.worker_secret import WorkerSecret
from web.query.least import wait_of
from web.query.link import QueryLink
from web.query.messages import AS_OF, Answer, Query
from web.query.queries import believed

UNAVAILABLE = 503
QUERY_MAX_BYTES = 65_536  # a url has 2 KB, and may be escaped
LAST_FOR_S = 2.0  # a worker that did not answer is asked last for so long
BUDGET_S = 5.0  # for all of them


class CountWorkers:
    """Asks the count workers in turn; any of them answers for all."""

    def __init__(
        self, urls: Sequence[str], secret: WorkerSecret, hears_kafka: Callable[[], bool]
    ) -> None:
        """hears_kafka: whether we do; then who does not is cut off alone."""
        self._links = [QueryLink(url, secret) for url in urls]
        self._hears_kafka = hears_kafka

    async def ask(self, query: Query) -> Answer:
        """Return the first answer that is not 503, else the last 503.

        Raises UnavailableError when none answers within BUDGET_S.
        """
        if len(self._links) == 1:  # its own time limit is the budget then
            answer = self._believed(await self._links[0].ask(query))
        else:
            answer = await self._ask_in_turn(query)
        if answer is None:
            raise UnavailableError("no count worker answers")
        return answer

    async def _ask_in_turn(self, query: Query) -> Answer | None:
        answer, begun, wait_s = None, time.monotonic(), wait_of(query.path)
        try:
            async with asyncio.timeout(BUDGET_S + wait_s):
                for link in self._in_turn():
                    if wait_s:
                        query.waited_s = time.monotonic() - begun
                    answer = self._believed(await link.ask(query)) or answer
                    if answer is not None and answer.status != UNAVAILABLE:
                        return answer
        except TimeoutError:
            pass
        return answer

    def _believed(self, answer: Answer | None) -> Answer | None:
        if answer is None or AS_OF not in answer.headers or not self._hears_kafka():
            return answer
        return believed(answer)

    async def close(self, _app: object) -> None:
        """Close the connections."""
        await asyncio.gather(*(link.close() for link in self._links))

    def _in_turn(self) -> list[QueryLink]:
        self._links = [*self._links[1:], *self._links[:1]]
        recent = time.monotonic() - LAST_FOR_S
        return sorted(self._links, key=lambda link: link.failed_at > recent)


def register(app: Any, settings: Settings, check_kafka: Callable[[], object]) -> CountWorkers:
    """Add the queries to the app of a collector; return who is asked.

    check_kafka: raises KafkaUnavailableError while Kafka does not answer us.
    """

    def hears_kafka() -> bool:
        try:
            check_kafka()
        except KafkaUnavailableError:
            return False
        return True

    secret = WorkerSecret(settings.worker_secret.get_secret_value())
    urls = [url for url in settings.count_urls.split(",") if url]
    workers = CountWorkers(urls, secret, hears_kafka)
    app.web.web_app.on_cleanup.append(workers.close)

    async def ask(_view: ApiView, request: Request, **_parts: str) -> Response:
        path = without_base(request.raw_path, settings.base_path)
        query = Query(request.method, path, await read_body(request, QUERY_MAX_BYTES))
        return (await workers.ask(query)).response()

    for call in CALLS:
        if call.by_count:
            methods = {call.method.lower(): ask, "__doc__": call.summary}
            page(app, call)(type("PassedOn", (ApiView,), methods))
    return workers
