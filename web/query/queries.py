"""The queries of a count worker: each as a call of its own, or many in one request.

A request between two processes costs ten times what a query costs. So the collector hands over
all that wait for an answer at once, in one POST (docs/internals/decisions/query-batches.md).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from time import time
from typing import Any, NamedTuple

import aiohttp
import msgspec
from aiohttp.web import Request, Response

from app.errors import (
    BadRequestError,
    CounterError,
    MethodNotAllowedError,
    NotFoundError,
    RecoveringError,
    UnavailableError,
    reason,
)
from app.transport.contact import Contact
from app.transport.ownership import Ownership
from tables.reached import Reached
from web.http import paths
from web.http.paths import Call, Kind
from web.http.views import OK, ApiView, page, read_body
from web.http.worker_secret import WorkerSecret
from web.query.least import Least, NotYetError, check, least, least_of
from web.query.messages import AS_OF, Answer, Query, decode_queries, encode_answers, post_queries

log = logging.getLogger(__name__)

# A fault of ours is answered, too: else the link with all that wait on it would be given up.
FAILED = "%s %s failed"

Handler = Callable[[Query], Answer | Awaitable[Answer]]
Wait = tuple[list[int], Awaitable[None]]  # the places of queries, and what puts in their answers


def believed(answer: Answer) -> Answer:
    """Return an answer of somebody whom Kafka may have left out, asked by one whom it has not.

    Its partitions may have moved to another worker, so it is 503.
    """
    if AS_OF not in answer.headers:
        return answer
    return Answer.error(RecoveringError("the worker that answers is cut off from Kafka"))


class ElsewhereError(Exception):
    """Another worker owns the key; url: its."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


class Route(NamedTuple):
    """A call and what answers it."""

    call: Call
    handler: Handler


class Queries:
    """Handlers by path; a handler runs at once or is awaited, or raises ElsewhereError.

    The parts of a path that vary are in Query.segments.
    """

    def __init__(
        self,
        app: Any,
        ownership: Ownership,
        secret: WorkerSecret | None = None,
        reached: Reached | None = None,
        sources: int = 0,
        contact: Contact | None = None,
    ) -> None:
        """reached: how far the totals have come. sources: partitions of `events`.

        contact: None: never lost.
        """
        self._app, self._ownership = app, ownership
        self._reached, self._sources = reached, sources
        self._contact = contact
        self._patient: aiohttp.ClientSession | None = None  # those who wait hold up nobody else
        self.secret = secret or WorkerSecret()  # of this worker and those that it asks
        self._routes: dict[str, list[Route]] = {}  # by the first segment

    def add(self, call: Call, handler: Handler) -> None:
        """Serve a call."""
        self._routes.setdefault(call.parts[0], []).append(Route(call, handler))
        queries = self

        async def ask(_view: ApiView, request: Request, **_parts: str) -> Response:
            if call.kind is Kind.INTERNAL:
                queries.secret.check(request)
            query = Query(request.method, request.raw_path, await read_body(request))
            (answer,) = await queries.answer([query])
            return answer.response()

        view = type("Asked", (ApiView,), {call.method.lower(): ask, "__doc__": handler.__doc__})
        page(self._app, call)(view)

    def check_owner(self, partition: int, query: Query) -> None:
        """Return where this worker owns the partition of `counts`, with all that is asked for.

        Raises ElsewhereError, RecoveringError where nobody can answer now, NotYetError.
        """
        url = self._ownership.url(partition)
        if url is None:
            if self._reached is not None:
                check(partition, self._reached)
            return
        if query.hops:  # two workers may disagree for a moment, in a rebalance
            raise RecoveringError("the key is moving to another worker")
        raise ElsewhereError(url)

    async def answer(self, queries: list[Query]) -> list[Answer]:
        """Return the answers in order; what others own is asked of them, all at once."""
        answers: list[Answer | None] = [None] * len(queries)
        await asyncio.gather(*(wait for _, wait in self.start(queries, answers)))
        return [answer for answer in answers if answer is not None]

    def start(self, queries: Sequence[Query], answers: list[Answer | None]) -> list[Wait]:
        """Put in the answers that are there at once, each at the place of its query.

        Return what will put in the others.
        """
        elsewhere: dict[str, list[int]] = {}
        waits: list[Wait] = []
        for place, query in enumerate(queries):
            try:
                answer = self._answer_here(query)
            except ElsewhereError as exc:
                elsewhere.setdefault(exc.url, []).append(place)
                continue
            if isinstance(answer, Answer):
                answers[place] = self._dated(answer)
            else:
                waits.append(([place], self._await_answer(answer, place, queries, answers)))
        for url, places in elsewhere.items():
            waits.append((places, self._ask_owner(url, places, queries, answers)))
        return waits

    def _answer_here(self, query: Query) -> Answer | Awaitable[Answer]:
        try:
            handler = self._handler_of(query)
            asked = least_of(query, self._sources)
            return handler(query) if asked is None else self._answer_with(asked, handler, query)
        except CounterError as exc:
            return Answer.error(exc)
        except ElsewhereError:
            raise
        except Exception:
            log.exception(FAILED, query.method, query.path)
            return Answer.error(CounterError("the request failed"))

    async def _answer_with(self, asked: Least, handler: Handler, query: Query) -> Answer:
        """Answer once the tables hold what is asked for; runs in a task of its own."""
        least.set(asked)
        while True:
            try:
                answer = handler(query)
                return answer if isinstance(answer, Answer) else await answer
            except NotYetError as exc:
                await asked.wait(exc.partition, exc.reached)

    def _handler_of(self, query: Query) -> Handler:
        """Return what serves a query; raise NotFoundError, MethodNotAllowedError."""
        segments = query.segments
        for route in self._routes.get(segments[0], ()):
            if route.call.is_at(segments):
                if query.method not in route.call.methods:
                    raise MethodNotAllowedError(f"{query.method} is not allowed at {query.path}")
                return route.handler
        raise NotFoundError(f"no such path: {query.path}")

    async def _await_answer(
        self,
        answer: Awaitable[Answer],
        place: int,
        queries: Sequence[Query],
        answers: list[Answer | None],
    ) -> None:
        try:
            answers[place] = self._dated(await answer)
        except CounterError as exc:
            answers[place] = Answer.error(exc)
        except ElsewhereError as exc:
            await self._ask_owner(exc.url, [place], queries, answers)
        except Exception:
            log.exception(FAILED, queries[place].method, queries[place].path)
            answers[place] = Answer.error(CounterError("the request failed"))

    async def _ask_owner(
        self, url: str, places: list[int], queries: Sequence[Query], answers: list[Answer | None]
    ) -> None:
        asked = [queries[place].further() for place in places]
        try:
            found = await self.post(url, asked)
        except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError) as exc:
            away = RecoveringError(f"the worker that owns the key does not answer: {reason(exc)}")
            found = [Answer.error(away)] * len(places)
        for place, answer in zip(places, found, strict=True):
            answers[place] = answer

    async def post(self, url: str, queries: list[Query]) -> list[Answer]:
        """Ask another count worker, as post_queries()."""
        asked = least.get()
        session, left_s = self._app.http_client, 0.0 if asked is None else asked.left_s
        if left_s:
            if self._patient is None:
                self._patient = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
            session = self._patient
        if session.closed:  # aiohttp would raise a RuntimeError, as for a fault of ours
            raise aiohttp.ClientConnectionError("this worker is shutting down")
        found = await post_queries(session, url, queries, self.secret, left_s)
        return found if self._silent_since_s is not None else list(map(believed, found))

    @property
    def _silent_since_s(self) -> float | None:
        return None if self._contact is None else self._contact.silent_since_s

    def _dated(self, answer: Answer) -> Answer:
        """Return an answer with its age, where Kafka is not heard of; too old it is 503."""
        since = self._silent_since_s
        if since is None or self._contact is None or answer.status != OK:
            return answer
        if (age := time() - since) > self._contact.stale_max_s:
            return Answer.error(
                UnavailableError(
                    f"nothing heard from Kafka for {age:.0f} s: EVENT_COUNTER_STALE_MAX_S"
                )
            )
        return answer.as_of(since)

    async def close(self, _app: object) -> None:
        """Close the connections to other workers."""
        if self._patient is not None:
            await self._patient.close()


def register(app: Any, queries: Queries) -> None:
    """Add the call that takes many queries to the app of a count worker."""
    app.web.web_app.on_shutdown.append(queries.close)

    @page(app, paths.QUERIES)
    class Batch(ApiView):
        """POST queries as MessagePack -> answers, from workers of the same release only."""

        async def post(self, request: Request) -> Response:
            queries.secret.check(request)
            try:
                asked = decode_queries(await read_body(request))
            except msgspec.MsgspecError as exc:
                raise BadRequestError(f"not queries: {exc}") from exc
            answers = await queries.answer(asked)
            return Response(body=encode_answers(answers))
