"""GET /tail: the newest events as server-sent events, for people who look at what comes in.

event: event, {"position", "event"}. event: dropped, {"dropped": n}: n events were left out, as more
came than are read or sent. Who reads slowly loses events, and delays nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from aiohttp.web import Request, StreamResponse

from app.errors import KafkaUnavailableError
from app.events.looked_at import LookedAt, looked_at, wanted_of
from app.kafka.clients import KafkaClients
from app.kafka.newest import Newest
from app.names import Names
from app.settings import Settings
from web.http import paths
from web.http.args import args_of
from web.http.client import Clients
from web.http.views import ApiView, page
from web.pages.feed import event
from web.pages.seats import Seats
from web.pages.stream import HEADERS, send

log = logging.getLogger(__name__)

ONLOOKERS_MAX = 50
ONE_ADDRESS_MAX = 10  # of one address, so that one reader leaves room for others
WAITING_MAX = 500  # events for one onlooker
WAITING_MAX_BYTES = 524_288  # and bytes of them
TURN_BYTES = 65_536  # of events decoded and encoded in one turn: 2 ms
EVENT_BYTES = 1000  # as which a small one counts there
ALIVE_S = 15.0  # a word now and then: proxies end what is silent
AGAIN_S = 1.0  # after Kafka was away


class Onlooker:
    """What waits for one who looks on."""

    def __init__(self, wanted: Mapping[str, str]) -> None:
        self._wanted = wanted
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._dropped = 0
        self._came = asyncio.Event()
        self.is_over = False

    def end(self) -> None:
        """Let it be told what is left, and no more."""
        self.is_over = True
        self._came.set()

    def wants(self, found: LookedAt) -> bool:
        """Whether an event is asked for."""
        return found.matches(self._wanted)

    def offer(self, text: bytes) -> None:
        """Add an event as it is sent; the oldest make room."""
        waiting = self._waiting
        self._bytes += len(text)
        while waiting and (len(waiting) >= WAITING_MAX or self._bytes > WAITING_MAX_BYTES):
            self._bytes -= len(waiting.popleft())
            self._dropped += 1
        waiting.append(text)
        self._came.set()

    def drop(self, number: int) -> None:
        """Note events that nobody has looked at."""
        if number:
            self._dropped += number
            self._came.set()

    async def next(self) -> bytes:
        """Return what is to be sent next; a comment where nothing came for a while."""
        try:
            async with asyncio.timeout(ALIVE_S):
                await self._came.wait()
        except TimeoutError:
            return b": nothing\n\n"
        self._came.clear()
        told = event("dropped", b'{"dropped":%d}' % self._dropped) if self._dropped else b""
        told += b"".join(self._waiting)
        self._dropped = self._bytes = 0
        self._waiting.clear()
        return told


class Tail:
    """Reads the topic while somebody looks on, once for all."""

    def __init__(self, newest: Newest) -> None:
        self._newest = newest
        self._onlookers: set[Onlooker] = set()
        self._reading: asyncio.Task[None] | None = None
        self._is_closed = False

    async def follow(self, wanted: Mapping[str, str]) -> AsyncGenerator[bytes, None]:
        """Yield server-sent events as they come, until close()."""
        onlooker = Onlooker(wanted)
        self._onlookers.add(onlooker)
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
            self._reading.add_done_callback(self._ended)
        try:
            yield b": here is what comes in\n\n"
            while not (onlooker.is_over or self._is_closed):
                yield await onlooker.next()
        finally:
            self._onlookers.discard(onlooker)
            if not self._onlookers and self._reading is not None:
                self._reading.cancel()
                self._reading = None

    def close(self) -> None:
        """End all of them, and those who come yet."""
        self._is_closed = True
        self._end()

    def _end(self) -> None:
        for onlooker in self._onlookers:
            onlooker.end()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """End the streams where reading ended by itself: browsers come again, it begins anew."""
        if task is self._reading:
            exc = None if task.cancelled() else task.exception()
            log.error("incoming events cannot be shown any more", exc_info=exc)
            self._reading = None
            self._end()

    async def _read(self) -> None:
        while True:
            try:
                async with contextlib.aclosing(self._newest.read()) as found:
                    async for records, passed in found:
                        await self._tell(records, passed)
            except KafkaUnavailableError as exc:
                log.warning("incoming events cannot be shown right now: %s", exc)
            await asyncio.sleep(AGAIN_S)

    async def _tell(self, records: list[Any], passed: int) -> None:
        """Offer each event, encoded once for all, to those who ask for it."""
        for onlooker in self._onlookers:
            onlooker.drop(passed)
        done = 0
        for record in records:
            if (found := looked_at(record)) is not None:
                self._offer(found)
            done += max(len(record.value or b""), EVENT_BYTES)
            if done >= TURN_BYTES:
                done = 0
                await asyncio.sleep(0)

    def _offer(self, found: LookedAt) -> None:
        those = [onlooker for onlooker in self._onlookers if onlooker.wants(found)]
        if those:
            text = event("event", found.as_json())
            for onlooker in those:
                onlooker.offer(text)


def register(app: Any, settings: Settings, clients: Clients) -> None:
    """Add the call to the app of a collector."""
    seats = Seats(clients)
    topic = Names(settings.namespace).events
    tail = Tail(Newest(KafkaClients.of(settings), topic, settings.events_partitions))

    async def close(_web_app: object) -> None:
        tail.close()

    app.web.web_app.on_shutdown.append(close)

    @page(app, paths.TAIL)
    class Look(ApiView):
        """GET ?type=&url=&user_id= -> the newest events as server-sent events."""

        async def get(self, request: Request) -> StreamResponse:
            wanted = wanted_of(args_of(request.rel_url.raw_query_string))
            with seats.taken(request, ONLOOKERS_MAX, ONE_ADDRESS_MAX):
                response = StreamResponse(headers=HEADERS)
                await response.prepare(request)
                if request.method == "GET":
                    await send(tail.follow(wanted), request, response)
            return response
