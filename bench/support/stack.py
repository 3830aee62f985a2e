"""Real Kafka, Postgres and Redis in a folder that is thrown away, and product workers on them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import tempfile
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol, Self

import asyncpg
import psutil
from aiokafka.admin import AIOKafkaAdminClient
from pydantic import SecretStr

from app.kafka.topics import ensure_topics, topic_specs
from app.settings import Role, Settings
from app.stack.kafka import Kafka
from app.stack.parts import LocalServer
from app.stack.ports import free_port
from app.stack.postgres import DATABASE, LocalPostgres
from app.stack.redis import Redis
from app.stack.workers import WorkerProcess, worker_settings

READY_POLL_S = 0.01


class KafkaPart(LocalServer, Protocol):
    """A Kafka to start."""

    address: str


class Stack:
    """Use as an async context manager; parts: beside Kafka, `postgres` and `redis`."""

    def __init__(self, *parts: str) -> None:
        self._wanted = parts
        self._numbers = 0
        self._exits = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        # A new topic has no leader for a moment, which aiokafka tells at each try.
        logging.getLogger("aiokafka").setLevel(logging.ERROR)
        scratch = tempfile.TemporaryDirectory(prefix="event-counter-bench-")
        self.folder = Path(self._exits.enter_context(scratch))
        logs = self.folder / "logs"
        self.kafka = self.make_kafka(self.folder / "kafka")
        self._postgres = LocalPostgres(self.folder / "postgres", logs / "postgres.log")
        self._redis = Redis(self.folder / "redis", logs / "redis.log")
        parts: list[LocalServer] = [self.kafka, self._postgres, self._redis]
        for part in (part for part in parts if part.name in ("kafka", *self._wanted)):
            self._exits.push_async_callback(part.stop)
            await part.start()
        self.admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka.address)
        self._exits.push_async_callback(self.admin.close)
        await self.admin.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exits.aclose()

    def make_kafka(self, folder: Path) -> KafkaPart:
        """Return the Kafka to start."""
        return Kafka(folder, self.folder / "logs" / "kafka.log", print)

    async def settings(self, *, statistics: bool = False) -> Settings:
        """Return settings that share nothing with any other, with topics and database made.

        statistics: also count pages, users, sessions, ads and bots; without, the four counters.
        """
        self._numbers += 1
        name = f"b{self._numbers}"
        given = Settings(
            kafka=self.kafka.address,
            namespace=f"{name}.",
            data_dir=self.folder / name,
            http_port=free_port(),
            worker_port=free_port(),
            token=SecretStr("secret_token"),
            statistics=statistics,
            postgres=SecretStr(await self.database() if "postgres" in self._wanted else ""),
            redis=SecretStr(self._redis.address if "redis" in self._wanted else ""),
        )
        url = f"http://{given.worker_host}:{given.worker_port}"
        given = given.model_copy(update={"count_urls": url})
        await ensure_topics(given)
        return given

    async def database(self) -> str:
        """Return the DSN of a new, empty database."""
        name = f"bench_{uuid.uuid4().hex}"
        connection = await asyncpg.connect(self._postgres.address)
        try:
            await connection.execute(f"create database {name}")
        finally:
            await connection.close()
        return self._postgres.address.removesuffix(DATABASE) + name

    async def clear(self, settings: Settings) -> None:
        """Delete topics and database, so that the disk does not fill up."""
        await self.admin.delete_topics([spec.name for spec in topic_specs(settings)])
        if dsn := settings.postgres.get_secret_value():
            await self.drop(dsn)

    async def drop(self, dsn: str) -> None:
        """Delete a database."""
        connection = await asyncpg.connect(self._postgres.address)
        try:
            await connection.execute(f"drop database {dsn.rpartition('/')[2]} with (force)")
        finally:
            await connection.close()

    @contextlib.asynccontextmanager
    async def worker(
        self, settings: Settings, role: Role, *, ready: bool = True, number: int = 1
    ) -> AsyncIterator[BenchWorker]:
        """Run a worker of the product as its own process while inside."""
        port = settings.http_port if role == "collect" else settings.worker_port
        if role == "store" or number > 1:
            port = free_port()
        own = worker_settings(settings, role, f"{role}-{number}", port)
        log = self.folder / "logs" / f"{settings.namespace}{role}-{number}.log"
        worker = BenchWorker(own, log)
        worker.start()
        try:
            if ready:
                await worker.ready_at(60)
            yield worker
        finally:
            await worker.stop()


class BenchWorker(WorkerProcess):
    """A worker whose process is watched."""

    @property
    def process(self) -> psutil.Process:
        """Its process."""
        return psutil.Process(self.child.pid)

    def cpu_s(self) -> float:
        """Return the seconds of CPU that it has used."""
        used = self.process.cpu_times()
        return float(used.user + used.system)

    def memory_mb(self) -> float:
        """Return the memory that it holds now (RSS), in MB."""
        return float(self.process.memory_info().rss / 1e6)

    async def ready_at(self, deadline_s: float) -> float:
        """Wait until it is ready; return when, on the clock of asyncio."""
        loop = asyncio.get_running_loop()
        until = loop.time() + deadline_s
        while not await self.is_ready():
            if loop.time() > until or not self.child.alive():
                raise SystemExit(f"{self.name} did not get ready; {self.child.last_words(5)}")
            await asyncio.sleep(READY_POLL_S)
        return loop.time()


def load_average() -> float:
    """Return the load of the last minute."""
    return round(os.getloadavg()[0], 2)
