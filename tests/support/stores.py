"""A count and a store worker on stores of their own, and what compares and mends them."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from redis.asyncio import Redis

from app.cli.audit import JsonPrinter, audit
from app.cli.progress import ProgressLog
from app.cli.rebuild import rebuild
from app.kafka.topics import ensure_topics
from app.names import Names
from app.reconcile.rebuild import Repaired
from app.settings import Role, Settings
from app.stack.workers import WorkerProcess
from tests.conftest import MakeSettings, StartWorker
from tests.support.database import Database
from tests.support.event_maker import EventMaker
from tests.support.kafka_client import KafkaClient
from tests.support.waiting import again_and_again

QUICK = {"summary_interval_s": 0.3, "redis_interval_s": 0.2, "commit_interval_s": 0.3}


ROLES: tuple[Role, ...] = ("store", "count")
FLOW_PAUSE_S = 0.1  # between bursts of 100 events


class Stores:
    """All stores of one namespace, with their workers."""

    def __init__(self, settings: Settings, kafka: KafkaClient, seed: int) -> None:
        self.settings, self.kafka = settings, kafka
        self.database = Database(settings.postgres.get_secret_value())
        self.redis: Any = Redis.from_url(settings.redis.get_secret_value(), decode_responses=True)
        self.events = Names(settings.namespace).events
        self.workers: list[WorkerProcess] = []
        self._rng = random.Random(seed)
        self._maker = EventMaker(self._rng, int(time.time()), "x")

    @classmethod
    async def start(
        cls,
        make_settings: MakeSettings,
        kafka: KafkaClient,
        start_worker: StartWorker,
        **changes: object,
    ) -> Stores:
        """Start the workers, ready."""
        settings = await make_settings(**QUICK, **changes)
        await ensure_topics(settings)
        stores = cls(settings, kafka, 7)
        stores.workers = await asyncio.gather(*(start_worker(settings, role) for role in ROLES))
        url = f"http://{settings.worker_host}:{settings.worker_port}"
        stores.settings = settings.model_copy(update={"count_urls": url})
        return stores

    async def send(self, events: int) -> None:
        """Send random events of all shapes to all partitions, some twice, and some bad ones."""
        for partition in range(self.settings.events_partitions):
            repeated = events // 40
            values = [self._maker.make()[1] for _ in range(events // 4 - repeated)]
            faults = [self._maker.fault()[0] for _ in range(events // 100)]
            again = [value for value in values if b"message" in value][:repeated]
            await self.kafka.send(self.events, values + faults + again, partition)

    async def send_bots(self, user: str, views: int) -> None:
        """Send page views of a user with one timestamp."""
        view = {"event_type": "page_view", "page_url": "/bots", "user_id": user}
        moment = {"timestamp": int(time.time()) - 100}
        value = json.dumps(view | moment).encode()
        await self.kafka.send(self.events, [value] * views, partition=1)

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        """Send events while inside."""
        await self.send(200)
        async with again_and_again(partial(self.send, 100), FLOW_PAUSE_S):
            yield

    async def audit(self, begin: Any = None, end: Any = None) -> dict[str, Any]:
        """Return what `audit --json` prints."""
        lines: list[str] = []
        printer = JsonPrinter(lines.append)
        with ProgressLog() as progress:
            printer.end(await audit(self.settings, begin, end, printer, progress))
        found: dict[str, Any] = json.loads("".join(lines))
        return found

    async def rebuild(self, what: str, begin: Any = None, end: Any = None) -> Repaired:
        """Do what `rebuild` does."""
        with ProgressLog() as progress:
            return await rebuild(self.settings, what, begin, end, progress)

    async def differences(self) -> list[dict[str, Any]]:
        """Return only the differences."""
        found: list[dict[str, Any]] = (await self.audit())["differences"]
        return found

    async def one(self, query: str, *args: object) -> Any:
        """Return the first row of a query."""
        return (await self.database.fetch(query, *args))[0]
