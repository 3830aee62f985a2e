"""Kafka, Postgres and Redis of this machine: those that have no address in the settings."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Protocol

import asyncpg
import psutil
from aiokafka.errors import KafkaError
from pydantic import SecretStr
from redis.exceptions import RedisError

from app.errors import SettingsError, StartError, reason
from app.lasting import patiently
from app.settings import Settings
from app.stack.child import Child
from app.stack.data_dir import check_whole, owned
from app.stack.kafka import Kafka
from app.stack.own_topics import fit_own_topics
from app.stack.ports import is_free
from app.stack.postgres import LocalPostgres
from app.stack.redis import Redis

SAY_EVERY_S = 5.0
# What a start may raise besides StartError and OSError: what a client makes of a server that has
# just begun, processes that come and go, a file that a power cut damaged.
STRANGE = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    KafkaError,
    RedisError,
    psutil.Error,
    ValueError,
)


class LocalServer(Protocol):
    """Kafka, Postgres or Redis."""

    name: str
    port: int
    child: Child

    async def start(self) -> str:
        """Return the address."""
        ...

    async def stop(self) -> None:
        """End it."""
        ...


class Console(Protocol):
    """Where it is said what is done."""

    def step(self, text: str) -> None:
        """Say something that stays."""
        ...

    def progress(self, text: str) -> None:
        """Say how far a long step is; the next text may replace it."""
        ...


class Parts:
    """Starts and stops them; the data directory is owned meanwhile."""

    def __init__(self, settings: Settings, console: Console) -> None:
        """settings: with an absolute data_dir."""
        self._settings, self._console = settings, console
        self._parts: list[LocalServer] = []

    def __iter__(self) -> Iterator[LocalServer]:
        return iter(self._parts)

    @property
    def has_kafka(self) -> bool:
        """Whether Kafka is one of them."""
        return any(part.name == Kafka.name for part in self._parts)

    async def start(self) -> Settings:
        """Start all at the same time; return the settings with their addresses."""
        given, folder = self._settings, self._settings.data_dir
        logs, say = folder / "logs", self._console.progress
        if not given.kafka:
            if given.kafka_security != "PLAINTEXT":
                raise SettingsError(
                    "EVENT_COUNTER_KAFKA_SECURITY is for a Kafka that EVENT_COUNTER_KAFKA names"
                )
            self._parts.append(Kafka(folder / "kafka", logs / "kafka.log", say))
        if not given.postgres.get_secret_value():
            self._parts.append(
                LocalPostgres(folder / "postgres", logs / "postgres.log", self._console.step)
            )
        if not given.redis.get_secret_value():
            self._parts.append(Redis(folder / "redis", logs / "redis.log", self._console.step))
        addresses: dict[str, str] = {}

        async def start(part: LocalServer) -> None:
            started = time.monotonic()
            self._console.step(f"starting {part.name}")
            addresses[part.name] = await start_told(part, self._console)
            self._console.step(f"{part.name} is up after {time.monotonic() - started:.1f} s")

        await _all_or_first_error(*(start(part) for part in self._parts))
        changes: dict[str, object] = {
            name: address if name == "kafka" else SecretStr(address)
            for name, address in addresses.items()
        }
        found = given.model_copy(update=changes)
        if self.has_kafka:
            for line in await fit_own_topics(found):
                self._console.step(line)
        return found

    async def stop(self) -> None:
        """End what was started, the last one first."""
        for part in reversed(self._parts):
            self._console.step(f"stopping {part.name}")
            await part.stop()


@asynccontextmanager
async def servers_alone(settings: Settings, console: Console) -> AsyncIterator[Settings]:
    """Have the servers run for one command, and no worker; yield the settings with their addresses.

    Raises StartError where a copy runs in the data directory, or a restore into it did not end.
    """
    base = settings.data_dir.absolute()
    with owned(base):
        check_whole(base)
        parts = Parts(settings.model_copy(update={"data_dir": base}), console)
        try:
            yield await parts.start()
        finally:
            await parts.stop()


async def start_told(part: LocalServer, console: Console, port: int = 0) -> str:
    """Start it and return its address; say where it is while that takes long.

    port: the one that others know already. Raises StartError or OSError, whatever a client or a
    damaged file raises.
    """
    if port:
        part.child.sweep()
        if not is_free(port):
            raise StartError(f"port {port}, where the workers look for it, is in use by another")

    async def tell(took_s: float) -> bool:
        if part.child.alive():
            words = part.child.last_words()
            console.progress(f"waiting for {part.name}, {took_s:.0f} s by now; {words}")
        return False

    try:
        address = await patiently(part.start(), SAY_EVERY_S, tell)
    except STRANGE as exc:
        raise StartError(f"{part.name} cannot be started: {reason(exc)}") from exc
    if port and part.port != port:  # its file was deleted, or damaged
        raise StartError(f"it listens on port {part.port}, and workers look for it on port {port}")
    return address


async def _all_or_first_error(*jobs: Coroutine[None, None, None]) -> None:
    """Do all at the same time; one error ends the others and is raised bare."""
    try:
        async with asyncio.TaskGroup() as tasks:
            for job in jobs:
                tasks.create_task(job)
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
