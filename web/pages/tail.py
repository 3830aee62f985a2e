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

from app.errors import KafkaUnavailableError, OverloadedError
from app.events.looked_at import LookedAt, looked_at, wanted_of
from app.kafka.clients import KafkaClients
from app.kafka.newest import Newest
from app.names import Names
from app.settings import Settings
from web.http import paths
from web.http.args import args_of
from web.http.views import ApiView, page
from web.pages.feed import event
from web.pages.stream import HEADERS, send

log = logging.getLogger(__name__)

FOLLOWERS_MAX = 50
WAITING_MAX = 500  # events for one follower; some 500 KB
ALIVE_S = 15.0  # a word now and then: proxies end what is silent
AGAIN_S = 1.0  # after Kafka was away


class Onlooker:
    """What waits for one who looks on."""

    def __init__(self, wanted: Mapping[str, str]) -> None:
        self._wanted = wanted
        self._waiting: deque[bytes] = deque()
        self._dropped = 0
        self._came = asyncio.Event()

    def offer(self, found: LookedAt) -> None:
        """Add an event that is asked for; the oldest makes room."""
        if not found.matches(self._wanted):
            return
        if len(self._waiting) == WAITING_MAX:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append(event("event", found.as_json()))
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
        self._dropped = 0
        self._waiting.clear()
        return told


class Tail:
    """Reads the topic while somebody looks on, once for all."""

    def __init__(self, newest: Newest) -> None:
        self._newest = newest
        self._followers: set[Onlooker] = set()
        self._reading: asyncio.Task[None] | None = None
        self._is_closed = False

    def check_room(self) -> None:
        """Raise OverloadedError where too many look on."""
        if len(self._followers) >= FOLLOWERS_MAX:
            raise OverloadedError("too many look on already")

    async def follow(self, wanted: Mapping[str, str]) -> AsyncGenerator[bytes, None]:
        """Yield server-sent events as they come, until close()."""
        follower = Onlooker(wanted)
        self._followers.add(follower)
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
        try:
            yield b": here is what comes in\n\n"
            while not self._is_closed:
                yield await follower.next()
        finally:
            self._followers.discard(follower)
            if not self._followers and self._reading is not None:
                self._reading.cancel()
                self._reading = None

    def close(self) -> None:
        """End all followers."""
        self._is_closed = True
        for follower in self._followers:
            follower.drop(1)

    async def _read(self) -> None:
        while True:
            try:
                async with contextlib.aclosing(self._newest.read()) as found:
                    async for records, passed in found:
                        self._tell(records, passed)
            except KafkaUnavailableError as exc:
                log.warning("nobody sees what comes in for now: %s", exc)
            await asyncio.sleep(AGAIN_S)

    def _tell(self, records: list[Any], passed: int) -> None:
        events = [found for record in records if (found := looked_at(record)) is not None]
        for follower in self._followers:
            follower.drop(passed)
            for found in events:
                follower.offer(found)


def register(app: Any, settings: Settings) -> None:
    """Add the call to the app of a collector."""
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
            tail.check_room()
            response = StreamResponse(headers=HEADERS)
            await response.prepare(request)
            if request.method == "GET":
                await send(tail.follow(wanted), request, response)
            return response
