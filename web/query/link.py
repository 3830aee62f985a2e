"""A WebSocket from a collector to a count worker, for queries and their answers.

Queries go as they come, and each answer comes back as soon as it is there, in any order. A message
is a MessagePack list of [number, query] one way, of [number, answer] the other. What has gathered
within one turn of the event loop shares a message (docs/internals/decisions/query-batches.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Iterable, Sequence
from itertools import count
from typing import Any
from weakref import WeakSet

import aiohttp
import msgspec
from aiohttp import WSCloseCode, WSMsgType
from aiohttp.web import Request, WebSocketResponse

from app.errors import BadRequestError
from web.http import paths
from web.http.views import ApiView, page
from web.http.worker_secret import WorkerSecret
from web.query.least import wait_of
from web.query.messages import Answer, Query
from web.query.queries import Queries

AT_ONCE = 256  # queries in one message: some 5 ms of a count worker
WITHIN_S = 2.5  # more than a worker asks its like
CLOSE_S = 0.2  # to say goodbye; a worker that hangs does not answer that either
TIMEOUT = aiohttp.ClientWSTimeout(ws_close=CLOSE_S)

encode = msgspec.msgpack.Encoder().encode
decode_queries = msgspec.msgpack.Decoder(list[tuple[int, Query]]).decode
decode_answers = msgspec.msgpack.Decoder(list[tuple[int, Answer]]).decode


class _Waiting:
    """A query whose answer is waited for."""

    __slots__ = ("answer", "is_again", "query", "until", "wait_s")

    def __init__(self, query: Query, loop: asyncio.AbstractEventLoop) -> None:
        self.query = query
        self.answer: asyncio.Future[Answer | None] = loop.create_future()
        self.wait_s = max(0.0, wait_of(query.path) - query.waited_s)
        self.until = loop.time() + WITHIN_S + self.wait_s
        self.is_again = False

    def settle(self, answer: Answer | None) -> None:
        """Give the answer to who waits, if still somebody does."""
        if not self.answer.done():
            self.answer.set_result(answer)


class QueryLink:
    """The collector's end; connects when it is asked something."""

    def __init__(self, url: str, secret: WorkerSecret) -> None:
        self._secret = secret
        self.failed_at = float("-inf")  # on the monotonic clock, s
        self._url = url.rstrip("/") + paths.QUERIES_LINK.path
        self._numbers = count()
        self._waiting: dict[int, _Waiting] = {}  # in the order asked
        self._unsent: list[int] = []
        self._patient = 0  # that may wait there: they do not end in the order asked
        self._wake = asyncio.Event()
        self._patience: asyncio.Timeout | None = None  # of the connection
        self._life: asyncio.Task[None] | None = None

    async def ask(self, query: Query) -> Answer | None:
        """Return the worker's answer; None when it gives none within WITHIN_S."""
        loop = asyncio.get_running_loop()
        number = next(self._numbers)
        waiting = self._waiting[number] = _Waiting(query, loop)
        self._unsent.append(number)
        self._wake.set()
        if self._life is None:
            self._life = loop.create_task(self._live())
        elif len(self._waiting) == 1 or self._patient:
            self._watch()
        if not waiting.wait_s:
            return await waiting.answer
        self._patient += 1
        try:
            return await waiting.answer
        finally:
            self._patient -= 1

    async def close(self) -> None:
        """Close the connection; what still waits gets None."""
        if self._life is not None:
            self._life.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._life

    async def _live(self) -> None:
        """Be connected while it lasts; when it broke, once more for what may have got lost."""
        try:
            while self._waiting:
                async with aiohttp.ClientSession() as session:
                    await self._be_connected(session)
        finally:
            self._life, self._unsent = None, []
            for waiting in self._waiting.values():
                waiting.settle(None)
            self._waiting.clear()

    async def _be_connected(self, session: aiohttp.ClientSession) -> None:
        is_connected = False
        try:
            async with (
                asyncio.timeout(WITHIN_S) as self._patience,
                session.ws_connect(
                    self._url, max_msg_size=0, timeout=TIMEOUT, headers=self._secret.headers
                ) as socket,
            ):
                is_connected = True
                try:
                    await self._talk(socket)
                finally:
                    self._lose(can_ask_again=True)
        except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError):
            pass
        if not is_connected:
            self._lose(can_ask_again=False)

    async def _talk(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._watch()
        sending = asyncio.create_task(self._send(socket))
        try:
            async for message in socket:
                for number, answer in decode_answers(message.data):
                    if waiting := self._waiting.pop(number, None):
                        waiting.settle(answer)
                self._watch()
        finally:
            sending.cancel()

    async def _send(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        with contextlib.suppress(aiohttp.ClientError):  # who receives notices it too
            while True:
                await self._wake.wait()
                numbers, self._unsent = self._unsent[:AT_ONCE], self._unsent[AT_ONCE:]
                if not self._unsent:
                    self._wake.clear()
                if numbers:
                    asked = [(number, self._waiting[number].query) for number in numbers]
                    await socket.send_bytes(encode(asked))

    def _watch(self) -> None:
        """Have the connection end when a query has waited too long."""
        if self._patience is not None and not self._patience.expired():
            untils = (waiting.until for waiting in self._waiting.values())
            first = min(untils, default=None) if self._patient else next(untils, None)
            self._patience.reschedule(first)

    def _lose(self, *, can_ask_again: bool) -> None:
        """The connection has gone: settle what shall not be asked again, keep the rest."""
        self._patience = None
        now = asyncio.get_running_loop().time()
        for number, waiting in list(self._waiting.items()):
            if not can_ask_again or waiting.is_again or waiting.until <= now:
                self.failed_at = time.monotonic()
                waiting.settle(None)
                del self._waiting[number]
            waiting.is_again = True
        self._unsent = list(self._waiting)
        self._wake.set()


def register(app: Any, queries: Queries) -> None:
    """Add the count worker's end."""
    sockets: WeakSet[WebSocketResponse] = WeakSet()

    async def close(_web_app: object) -> None:
        """A server that stops waits for its requests, and a socket is one that does not end."""
        await asyncio.gather(*(socket.close() for socket in sockets))

    app.web.web_app.on_shutdown.append(close)

    @page(app, paths.QUERIES_LINK)
    class Link(ApiView):
        """GET -> a WebSocket of queries and answers, for collectors of the same release only."""

        async def get(self, request: Request) -> WebSocketResponse:
            queries.secret.check(request)
            socket = WebSocketResponse(max_msg_size=0, compress=False, timeout=CLOSE_S)
            if not socket.can_prepare(request):
                raise BadRequestError("only a WebSocket is served here")
            await socket.prepare(request)
            sockets.add(socket)
            await _serve(socket, queries)
            return socket


async def _serve(socket: WebSocketResponse, queries: Queries) -> None:
    """Answer until the collector hangs up."""
    later: set[asyncio.Task[None]] = set()
    try:
        async for message in socket:
            if message.type is not WSMsgType.BINARY:
                await socket.close(code=WSCloseCode.UNSUPPORTED_DATA)
                return
            try:
                numbers, asked = zip(*decode_queries(message.data), strict=True)
            except (msgspec.MsgspecError, ValueError):  # none at all is a ValueError
                await socket.close(code=WSCloseCode.INVALID_TEXT)
                return
            answers: list[Answer | None] = [None] * len(asked)
            waits = queries.start(asked, answers)
            await _send_ready(socket, numbers, answers, range(len(asked)))
            for places, wait in waits:
                task = asyncio.create_task(_send_later(socket, numbers, answers, places, wait))
                later.add(task)
                task.add_done_callback(later.discard)
    finally:
        for task in later:
            task.cancel()


async def _send_ready(
    socket: WebSocketResponse,
    numbers: Sequence[int],
    answers: Sequence[Answer | None],
    places: Iterable[int],
) -> None:
    ready = [(numbers[place], answer) for place in places if (answer := answers[place]) is not None]
    if ready:
        await socket.send_bytes(encode(ready))


async def _send_later(
    socket: WebSocketResponse,
    numbers: Sequence[int],
    answers: Sequence[Answer | None],
    places: Sequence[int],
    wait: Awaitable[None],
) -> None:
    await wait
    with contextlib.suppress(ConnectionError):  # the collector has gone, and asks again
        await _send_ready(socket, numbers, answers, places)
