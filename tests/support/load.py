"""Load on a running system: random events over Kafka and HTTP, at a rate, with a ledger."""

from __future__ import annotations

import asyncio
import gzip
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Self

import aiohttp
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tests.support.event_maker import EventMaker
from tests.support.ledger import Fact, Ledger

BURSTS = (1, 1, 2, 5, 20, 60, 200)
TRICKLE_RATE = 20  # events per second: enough for what waits for some, however slow the machine
FAULT_SHARE = 0.02
SAME_PARTITION = 0.8  # of what goes straight to Kafka, so that what comes again meets its first
KEYED = 0.3  # share of requests with an Idempotency-Key
HTTP_TIMEOUT = aiohttp.ClientTimeout(total=15)
AWAY_S = 0.2  # pause after an error; whoever was killed is coming back

Made = list[tuple[Fact, bytes]]


class Load:
    """Use as an async context manager: sends while inside.

    rate: events per second on each way, about; after `most` events of it, few, one by one.
    again: how often what has a message_id is sent, one of these. lost: the share of answers that do
    not come, so that it is sent once more. Each time it is a record of its own. straight: to Kafka
    too; without it every event has a message_id, and a retry goes where its first went.
    url: of a collector; empty: only Kafka. ledger: of an earlier load that this one goes on with.
    """

    def __init__(
        self,
        rng: random.Random,
        kafka: str,
        topic: str,
        url: str = "",
        *,
        rate: int = 300,
        most: int = 9000,
        again: tuple[int, ...] = (1, 1, 1, 2),
        lost: float = 0.0,
        straight: bool = True,
        ledger: Ledger | None = None,
    ) -> None:
        self.ledger = ledger or Ledger()
        self._rng, self._kafka, self._topic, self._url = rng, kafka, topic, url
        self._rate, self._most, self._again, self._lost = rate, most, again, lost
        self._straight = straight
        self._tasks: list[asyncio.Task[None]] = []
        self._stopped = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._kafka,
            acks="all",
            linger_ms=2,
            request_timeout_ms=5000,
            retry_backoff_ms=200,
        )
        await self._producer.start()
        self._http = aiohttp.ClientSession(timeout=HTTP_TIMEOUT)
        ways: list[Callable[[EventMaker, int], Awaitable[None]]] = []
        if self._straight:
            ways.append(self._over_kafka)
        if self._url:
            ways.append(self._over_http)
        for way in ways:
            maker = EventMaker(self._rng, int(time.time()), f"{self._rng.getrandbits(32):08x}")
            maker.messages = 0.5 if self._straight else 1.0
            self._tasks.append(asyncio.create_task(self._keep_sending(way, maker)))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> Ledger:
        """Send no more, wait for the last answers, and return what was sent."""
        self._stopped.set()
        try:
            await asyncio.gather(*self._tasks)
        finally:
            await self._http.close()
            await self._producer.stop()
        return self.ledger

    async def sent(self, events: int) -> None:
        """Return when so many more events are acknowledged."""
        until = len(self.ledger.acknowledged) + events
        while len(self.ledger.acknowledged) < until:
            for failed in (task for task in self._tasks if task.done()):
                await failed
            await asyncio.sleep(0.02)

    async def _keep_sending(
        self, way: Callable[[EventMaker, int], Awaitable[None]], maker: EventMaker
    ) -> None:
        sent = 0
        while not self._stopped.is_set():
            size = self._rng.choice(BURSTS) if sent < self._most else 1
            rate = self._rate if sent < self._most else TRICKLE_RATE
            await way(maker, size)
            sent += size
            pause = size / rate * self._rng.uniform(0.5, 1.5)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), pause)

    def _make(self, maker: EventMaker, size: int, shape: str = "") -> Made:
        made = [maker.make(shape) for _ in range(size)]
        self.ledger.facts.update((fact.uuid, fact) for fact, _ in made)
        return made

    # -- straight to Kafka ----------------------------------------------------------------

    async def _over_kafka(self, maker: EventMaker, size: int) -> None:
        made = self._make(maker, size)
        key = maker.key()  # a burst with one key: one partition gets it all
        sends = []
        for fact, value in made:
            own = key
            if fact.message and self._rng.random() < SAME_PARTITION:
                own = key or fact.message.encode()
            sends += [self._send(fact, value, own) for _ in range(self._times(fact))]
        for _ in range(size):
            if self._rng.random() < FAULT_SHARE:
                value, code = maker.fault()
                self.ledger.faults[value] = code
                sends.append(self._send(None, value, maker.key()))
        if not all(await asyncio.gather(*sends)):
            await asyncio.sleep(AWAY_S)

    def _times(self, *facts: Fact) -> int:
        """Return how often to send what is made of some events."""
        if not all(fact.message for fact in facts):
            return 1
        times = self._rng.choice(self._again)
        return times + sum(self._rng.random() < self._lost for _ in range(times))

    async def _send(self, fact: Fact | None, value: bytes, key: bytes | None) -> bool:
        try:
            await self._producer.send_and_wait(self._topic, value, key)
        except KafkaError:
            return False  # perhaps it is there all the same
        if fact is not None:
            self.ledger.acknowledged.add(fact.uuid)
        return True

    # -- over HTTP ------------------------------------------------------------------------

    async def _over_http(self, maker: EventMaker, size: int) -> None:
        call = self._rng.choice([self._put, self._ads, self._track, self._events])
        try:
            sent = await call(maker, size)
        except (aiohttp.ClientError, TimeoutError):
            sent = False
        if not sent:
            await asyncio.sleep(AWAY_S)

    async def _put(self, maker: EventMaker, size: int) -> bool:
        return await self._single(maker, size, "counter", "PUT", "/event_generate/")

    async def _ads(self, maker: EventMaker, size: int) -> bool:
        return await self._single(maker, size, "ads", "POST", "/")

    async def _track(self, maker: EventMaker, size: int) -> bool:
        return await self._single(maker, size, "app", "POST", "/track")

    async def _single(
        self, maker: EventMaker, size: int, shape: str, method: str, path: str
    ) -> bool:
        """Send each event in a request of its own, some at the same time."""
        made = self._make(maker, min(size, 20), shape)
        done = await asyncio.gather(*(self._repeated(method, path, *one) for one in made))
        return all(done)

    async def _repeated(self, method: str, path: str, fact: Fact, value: bytes) -> bool:
        """Send an event as often as it is to be sent, one request after the other."""
        headers = {}
        if fact.message is None and self._rng.random() < KEYED:
            fact = self._named(fact, f"k-{fact.uuid}")
            headers["Idempotency-Key"] = f"k-{fact.uuid}"
        taken = True
        for _ in range(self._times(fact)):
            try:
                status, _ = await self._request(method, path, value, headers)
            except (aiohttp.ClientError, TimeoutError):
                status = 0
            if status == 200:
                self.ledger.acknowledged.add(fact.uuid)
            taken = taken and status == 200
        return taken

    def _named(self, fact: Fact, message: str) -> Fact:
        """Give an event the message_id that it gets on the way."""
        named = self.ledger.facts[fact.uuid] = replace(fact, message=message)
        return named

    async def _events(self, maker: EventMaker, size: int) -> bool:
        """Send all in one request: an array or lines, with faults among them, perhaps packed."""
        made: list[tuple[Fact | None, bytes]] = [*self._make(maker, size)]
        for _ in range(self._rng.choice([0, 0, 1, 3])):
            made.insert(self._rng.randrange(len(made) + 1), (None, b'{"url":"/no/type"}'))
        headers = {}
        if self._rng.random() < KEYED:
            key = headers["Idempotency-Key"] = f"k-{self._rng.getrandbits(64):x}"
            made = [
                (self._named(fact, f"{key}:{at}") if fact and not fact.message else fact, value)
                for at, (fact, value) in enumerate(made)
            ]
        facts, items = [fact for fact, _ in made if fact], [value for _, value in made]
        lines = self._rng.random() < 0.5 or len(items) == 1
        body = b"\n".join(items) if lines else b"[" + b",".join(items) + b"]"
        if self._rng.random() < 0.5:
            headers["Content-Encoding"] = "gzip"
            body = gzip.compress(body)
        taken = True
        for _ in range(self._times(*facts)):
            status, answer = await self._request("POST", "/events", body, headers)
            if status == 200:
                assert (answer["accepted"], answer["rejected"]) == (size, len(items) - size), answer
                self.ledger.acknowledged.update(fact.uuid for fact in facts)
            taken = taken and status == 200
        return taken

    async def _request(
        self, method: str, path: str, body: bytes, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Return status and answer; anything but 200 and 503 is a failure of the collector."""
        given = {"X-Token": "secret_token", "Content-Type": "application/json", **(headers or {})}
        async with self._http.request(
            method, self._url + path, data=body, headers=given
        ) as response:
            text = await response.text()
            assert response.status in (200, 429, 503), (response.status, text)
            found = await response.json() if path == "/events" else text
            return response.status, found
