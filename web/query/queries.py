"""The queries of a count worker: each as a call of its own, or many in one request.

A request between two processes costs ten times what a query costs. So the collector hands over
all that wait for an answer at once, in one POST (docs/internals/decisions/query-batches.md).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

import aiohttp
import msgspec
from aiohttp.web import Request, Response

from app.errors import (
    BadRequestError,
    CounterError,
    MethodNotAllowedError,
    NotFoundError,
    RecoveringError,
    reason,
)
from app.transport.ownership import Ownership
from web.http import paths
from web.http.args import SHOWN_MAX, args_of
from web.http.paths import Call, Kind
from web.http.quick import QuickResponse
from web.http.views import JSON, OK, ApiView, page, read_body
from web.http.worker_secret import WorkerSecret

log = logging.getLogger(__name__)

# A fault of ours is answered, too: else the link with all that wait on it would be given up.
FAILED = "%s %s failed"
OWNER_TIMEOUT = aiohttp.ClientTimeout(total=2.0)

_encode_json = msgspec.json.Encoder(decimal_format="number").encode


class Query(msgspec.Struct, array_like=True):
    """One query. path: as sent, with the query string. hops: workers it has been at before."""

    method: str
    path: str
    body: bytes = b""
    hops: int = 0

    @property
    def segments(self) -> list[str]:
        """The parts of the path; raise BadRequestError where they are not UTF-8."""
        path = self.path.partition("?")[0].strip("/")
        try:
            return [unquote(part, errors="strict") for part in path.split("/")]
        except UnicodeDecodeError as exc:
            raise BadRequestError(f"{path[:SHOWN_MAX]} is not UTF-8") from exc

    @property
    def args(self) -> dict[str, str]:
        """The query string, as args_of()."""
        return args_of(self.path.partition("?")[2])


class Answer(msgspec.Struct, array_like=True):
    """The answer to one query."""

    status: int
    body: bytes
    headers: dict[str, str]

    @classmethod
    def json(cls, value: object) -> Answer:
        """Return 200 with compact JSON."""
        return cls(OK, _encode_json(value), JSON)

    @classmethod
    def error(cls, error: CounterError) -> Answer:
        """Return {"code", "message"} with the error's status and, where it passes, Retry-After."""
        again = error.retry_after_s
        headers = JSON if again is None else {**JSON, "Retry-After": str(again)}
        return cls(error.status, _encode_json(error.as_dict()), headers)

    def response(self) -> Response:
        """Return it as an answer over HTTP."""
        if self.status == OK and self.headers == JSON:
            return QuickResponse(self.body, JSON["Content-Type"])
        return Response(status=self.status, body=self.body, headers=self.headers)


Handler = Callable[[Query], Answer | Awaitable[Answer]]
Wait = tuple[list[int], Awaitable[None]]  # the places of queries, and what puts in their answers

encode_queries = msgspec.msgpack.Encoder().encode
decode_queries = msgspec.msgpack.Decoder(list[Query]).decode
encode_answers = msgspec.msgpack.Encoder().encode
decode_answers = msgspec.msgpack.Decoder(list[Answer]).decode


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

    def __init__(self, app: Any, ownership: Ownership, secret: WorkerSecret | None = None) -> None:
        self._app, self._ownership = app, ownership
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
        """Return where this worker owns the partition of `counts`; else raise.

        Raises ElsewhereError, or RecoveringError where nobody can answer now.
        """
        url = self._ownership.url(partition)
        if url is None:
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
                answers[place] = answer
            else:
                waits.append(([place], self._await_answer(answer, place, queries, answers)))
        for url, places in elsewhere.items():
            waits.append((places, self._ask_owner(url, places, queries, answers)))
        return waits

    def _answer_here(self, query: Query) -> Answer | Awaitable[Answer]:
        try:
            return self._handler_of(query)(query)
        except CounterError as exc:
            return Answer.error(exc)
        except ElsewhereError:
            raise
        except Exception:
            log.exception(FAILED, query.method, query.path)
            return Answer.error(CounterError("the request failed"))

    def _handler_of(self, query: Query) -> Handler:
        """Return what serves a query; raise NotFoundError, MethodNotAllowedError."""
        segments = query.segments
        for route in self._routes.get(segments[0], ()):
            if route.call.is_at(segments):
                if query.method not in route.call.methods:
                    raise MethodNotAllowedError(f"{query.method} is not served at {query.path}")
                return route.handler
        raise NotFoundError(f"nothing is served at {query.path}")

    async def _await_answer(
        self,
        answer: Awaitable[Answer],
        place: int,
        queries: Sequence[Query],
        answers: list[Answer | None],
    ) -> None:
        try:
            answers[place] = await answer
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
        asked = [msgspec.structs.replace(queries[place], hops=1) for place in places]
        try:
            found = await self.post(url, asked)
        except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError) as exc:
            away = RecoveringError(f"the worker that owns the key does not answer: {reason(exc)}")
            found = [Answer.error(away)] * len(places)
        for place, answer in zip(places, found, strict=True):
            answers[place] = answer

    async def post(self, url: str, queries: list[Query]) -> list[Answer]:
        """Ask another count worker, as post_queries()."""
        return await post_queries(self._app.http_client, url, queries, self.secret)


async def post_queries(
    session: aiohttp.ClientSession, url: str, queries: list[Query], secret: WorkerSecret
) -> list[Answer]:
    """Ask a count worker; return an answer for each query, in order.

    Raises aiohttp.ClientError, TimeoutError, msgspec.MsgspecError.
    """
    async with session.post(
        url.rstrip("/") + paths.QUERIES.path,
        data=encode_queries(queries),
        headers=secret.headers,
        timeout=OWNER_TIMEOUT,
    ) as response:
        response.raise_for_status()
        answers = decode_answers(await response.read())
    if len(answers) != len(queries):
        raise aiohttp.ClientPayloadError(f"{len(answers)} answers to {len(queries)} queries")
    return answers


def register(app: Any, queries: Queries) -> None:
    """Add the call that takes many queries to the app of a count worker."""

    @page(app, paths.QUERIES)
    class Batch(ApiView):
        """POST queries as MessagePack -> answers, from workers of the same release only."""

        async def post(self, request: Request) -> Response:
            queries.secret.check(request)
            try:
                asked = decode_queries(await read_body(request))
            except msgspec.MsgspecError as exc:
                raise BadRequestError(f"no queries: {exc}") from exc
            answers = await queries.answer(asked)
            return Response(body=encode_answers(answers))
