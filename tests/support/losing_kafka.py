"""A Kafka that loses what it has acknowledged, and a scene of workers that live on with it."""

from __future__ import annotations

import asyncio
import json
import random
import re
import shutil
from http import HTTPStatus
from pathlib import Path
from typing import Self

import aiohttp

from app.errors import CounterError
from app.events.event import Event
from app.ingest.collector import Collector
from app.settings import Settings
from app.stack.log_mending import mend_events
from tests.support.database import Database
from tests.support.http import Http
from tests.support.kafka_faults import MortalKafka
from tests.support.waiting import wait_until


class LosingKafka(MortalKafka):
    """Can be killed, and the end of its logs with it, as a power cut does."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._data = folder / "kafka" / "data"

    def wipe(self) -> None:
        """Take its disk away: what starts next is another cluster, at the same address."""
        self.kill()
        shutil.rmtree(self._data)

    def move(self, port: int) -> None:
        """Let it have another port when it starts next, with all that it knows. It must not run."""
        ports = self._data.parent / "ports.json"
        ports.write_text(json.dumps(json.loads(ports.read_text()) | {"broker": port}), "utf-8")

    def cut(self, topic: str, rng: random.Random) -> int:
        """Cut the newest segment of each partition at a random place; return the bytes gone.

        It must not run.
        """
        gone = 0
        for folder in sorted(self._data.glob(f"{topic}-[0-9]*")):
            segment = max(folder.glob("*.log"))
            size = segment.stat().st_size
            kept = int(size * rng.uniform(0.3, 1.0))
            with segment.open("r+b") as file:
                file.truncate(kept)
            gone += size - kept
        for clean in self._data.glob(".kafka_cleanshutdown"):
            clean.unlink()  # else nothing is looked at
        return gone


class Sender:
    """Sends numbered events by a collector of its own; acknowledged: their numbers."""

    def __init__(self, settings: Settings) -> None:
        self._collector = Collector(settings, mend_events(settings))
        self.acknowledged: set[int] = set()
        self.unsure: set[int] = set()
        self._next = 0

    async def start(self) -> None:
        """Return when Kafka takes events."""
        await self._collector.start()
        await self.ready()

    async def ready(self) -> None:
        """Return when Kafka takes events again."""
        await wait_until(self._is_ready, expected=True)

    async def stop(self) -> None:
        """End it."""
        await self._collector.stop()

    def _is_ready(self) -> bool:
        try:
            return self._collector.check_ready()
        except CounterError:
            return False

    async def send(self, count: int, url: str, stop: asyncio.Event | None = None) -> None:
        """Send events of a url, 50 at a time, until as many are acknowledged."""
        goal = len(self.acknowledged) + count
        while len(self.acknowledged) < goal:
            if stop is not None and stop.is_set():
                return
            if not self._is_ready():
                await asyncio.sleep(0.01)
                continue
            numbers = range(self._next, self._next + 50)
            self._next += 50
            events = [
                Event(type="CLICK", url=url, user_id=f"u{n}", uuid=str(n), app_name="a")
                for n in numbers
            ]
            try:
                await self._collector.send(events)
            except CounterError:
                self.unsure.update(numbers)
            else:
                self.acknowledged.update(numbers)

    async def keep_sending(self, url: str, stop: asyncio.Event) -> None:
        """Send until told to stop."""
        while not stop.is_set():
            await self.send(50, url, stop)
            await asyncio.sleep(0.005)


class LostScene:
    """Workers whose Kafka loses records; use it as an async context manager."""

    def __init__(self, settings: Settings, kafka: LosingKafka, rng: random.Random) -> None:
        self.rng = rng
        self._settings, self._kafka = settings, kafka
        self._database = Database(settings.postgres.get_secret_value())
        self._sender = Sender(settings)
        self._before: set[int] = set()
        self._after: set[int] = set()

    async def __aenter__(self) -> Self:
        await self._sender.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._sender.stop()

    async def send_until_killed(self) -> None:
        """Send events, and kill Kafka -9 meanwhile at some moment."""
        await self._sender.send(1000, "/before")
        stop = asyncio.Event()
        sending = asyncio.create_task(self._sender.keep_sending("/before", stop))
        await asyncio.sleep(self.rng.uniform(0.1, 1.0))
        self._kafka.kill()
        stop.set()
        await sending
        self._before = set(self._sender.acknowledged)

    async def send_on(self) -> None:
        """Send more, now that Kafka is back."""
        await self._sender.send(1000, "/after")
        self._after = self._sender.acknowledged - self._before

    async def check_store(self) -> None:
        """All that was acknowledged after the cut is stored once; what is missing is counted."""
        await wait_until(lambda: self._stored("/after"), lambda s: s >= self._after, deadline_s=60)
        missing = len(self._before - await self._stored("/before"))
        rows = await self._database.fetch("select sum(lost)::int from sink_offsets")
        told = f"{rows[0][0]} lost, {missing} missing, {len(self._sender.unsure)} unsure"
        assert missing <= rows[0][0] <= missing + len(self._sender.unsure), told

    async def check_counts(self) -> None:
        """As check_store(), of what is counted."""
        url = f"http://{self._settings.worker_host}:{self._settings.worker_port}"
        async with aiohttp.ClientSession() as session:
            counts = Http(session, url)
            after = len(await self._stored("/after"))
            await wait_until(lambda: clicks(counts, "/after"), after, deadline_s=60)
            least = len(self._before)

            async def accounted() -> tuple[int, int]:
                return await clicks(counts, "/before"), await _lost(counts)

            found = await wait_until(accounted, lambda pair: sum(pair) >= least)
            told = "{} counted, {} lost, {} acknowledged".format(*found, least)
            assert sum(found) <= least + len(self._sender.unsure), told

    async def _stored(self, url: str) -> set[int]:
        rows = await self._database.fetch("select uuid from event where url = $1", url)
        found = [int(row[0]) for row in rows]
        assert len(found) == len(set(found))
        return set(found)


async def clicks(counts: Http, url: str) -> int:
    """Return the clicks of a url; -1 while nobody answers."""
    try:
        answer = await counts.post("/event_track/", json.dumps({"url": url}).encode())
    except aiohttp.ClientError:
        return -1
    return int(answer.json["events"][0]["count"]) if answer.status == HTTPStatus.OK else -1


async def _lost(counts: Http) -> int:
    """Return what the count worker says that Kafka has lost before it was counted."""
    text = (await counts.get("/metrics")).body.decode()
    found = re.findall(r'^event_counter_records\{outcome="lost".*\} (\S+)$', text, re.MULTILINE)
    return int(sum(map(float, found)))
