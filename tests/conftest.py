"""Real Kafka, Postgres and Redis, started once a run and only when a test asks for them.

Topics, databases and folders are new for each test: fixtures are factories. `pytest -n 2` makes two
runs of it, each with parts of its own, so that a test may stop them.
"""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import pytest

from app.kafka.topics import ensure_topics
from app.names import Names
from app.settings import Role, Settings
from app.stack.kafka import Kafka
from app.stack.ports import free_port
from app.stack.postgres import DATABASE, LocalPostgres
from app.stack.redis import Redis
from app.stack.workers import WorkerProcess, worker_settings
from tests.support import java_cache, own_ports
from tests.support.forked import ForkedWorker
from tests.support.hung import (  # noqa: F401
    pytest_timeout_cancel_timer,
    pytest_timeout_set_timer,
)
from tests.support.kafka_client import KafkaClient
from tests.support.kafka_faults import MortalKafka, mortal_kafka
from tests.support.kept import kept  # noqa: F401

# A hook of tests/kill/conftest.py would be unknown to the process that sums up all runs.
from tests.support.tallies import pytest_terminal_summary  # noqa: F401
from tests.support.together import TogetherScheduling, place

REDIS_DATABASES = 1000  # one for each test
READY_S = 180.0  # 4 s where nobody else works
MakeSettings = Callable[..., Awaitable[Settings]]
Part = Kafka | LocalPostgres | Redis

java_cache.use()
own_ports.use()


class StartWorker(Protocol):
    """See the fixture start_worker."""

    async def __call__(
        self, settings: Settings, role: Role, name: str = ..., *, ready: bool = ...
    ) -> WorkerProcess:
        """Start one."""
        ...


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes long first."""
    items.sort(key=lambda item: place(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> TogetherScheduling | None:
    """Keep together what belongs together, where --dist loadscope asks for it."""
    return TogetherScheduling(config, log) if config.getoption("dist") == "loadscope" else None


@pytest.fixture(scope="session")
def stack_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the parts that all tests share."""
    return tmp_path_factory.mktemp("stack")


@pytest.fixture(scope="session")
def parts() -> list[Part]:
    """Return the parts that all tests share, once they are started."""
    return []


@pytest.fixture(autouse=True)
def parts_go_on(parts: list[Part]) -> Iterator[None]:
    """Start what a test has killed and, as it failed, left dead: all tests after it need it."""
    yield
    for part in parts:
        if not part.child.alive():
            asyncio.run(part.start())


@pytest.fixture(scope="session")
def kafka_part(stack_folder: Path, parts: list[Part]) -> Iterator[Kafka]:
    """Yield the Kafka of this run."""
    part = Kafka(stack_folder / "kafka", stack_folder / "logs/kafka.log", print)
    asyncio.run(part.start())
    parts.append(part)
    yield part
    asyncio.run(part.stop())


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MortalKafka]:
    """Yield a Kafka of this module's own, to be frozen and killed."""
    with mortal_kafka(tmp_path_factory.mktemp("mortal")) as running:
        yield running


@pytest.fixture(scope="session")
def postgres_part(stack_folder: Path, parts: list[Part]) -> Iterator[LocalPostgres]:
    """Yield the Postgres of this run."""
    part = LocalPostgres(stack_folder / "postgres", stack_folder / "logs/postgres.log")
    asyncio.run(part.start())
    parts.append(part)
    yield part
    asyncio.run(part.stop())


@pytest.fixture(scope="session")
def redis_part(stack_folder: Path, parts: list[Part]) -> Iterator[Redis]:
    """Yield the Redis of this run."""
    folder, log = stack_folder / "redis", stack_folder / "logs/redis.log"
    part = Redis(folder, log, databases=REDIS_DATABASES)
    asyncio.run(part.start())
    parts.append(part)
    yield part
    asyncio.run(part.stop())


@pytest.fixture(scope="session")
def redis_numbers() -> Iterator[int]:
    """Return the numbers of unused Redis databases."""
    return itertools.count()


@pytest.fixture
async def kafka(kafka_part: Kafka) -> AsyncIterator[KafkaClient]:
    """Yield a client of Kafka."""
    async with KafkaClient(kafka_part.address) as client:
        yield client


@pytest.fixture
async def make_database(
    postgres_part: LocalPostgres,
) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    """Return a factory of empty databases; it returns their DSN."""
    made: list[str] = []

    async def tell(command: str) -> None:
        admin = await asyncpg.connect(postgres_part.address)  # anew: a test may have stopped it
        await admin.execute(command)
        await admin.close()

    async def make() -> str:
        made.append(f"test_{uuid.uuid4().hex}")
        await tell(f"create database {made[-1]}")
        return postgres_part.address.removesuffix(DATABASE) + made[-1]

    yield make
    for name in made:
        await tell(f"drop database {name} with (force)")


@pytest.fixture
def make_redis(redis_part: Redis, redis_numbers: Iterator[int]) -> Callable[[], str]:
    """Return a factory of empty Redis databases; it returns their URL."""
    return lambda: f"{redis_part.address.rpartition('/')[0]}/{next(redis_numbers)}"


@pytest.fixture
def make_settings(
    kafka_part: Kafka,
    make_database: Callable[[], Awaitable[str]],
    make_redis: Callable[[], str],
    tmp_path: Path,
) -> MakeSettings:
    """Return a factory of Settings that share nothing with any other test; no topics yet."""

    async def make(**changes: object) -> Settings:
        given = {
            "http_port": free_port(),
            "worker_port": free_port(),
            "data_dir": tmp_path / "data",
            "kafka": kafka_part.address,
            "postgres": await make_database(),
            "redis": make_redis(),
            "token": "secret_token",
            "namespace": f"t{uuid.uuid4().hex[:10]}.",
        }
        return Settings.model_validate(given | changes)

    return make


@pytest.fixture
async def settings(make_settings: MakeSettings) -> Settings:
    """Return the Settings of a test that needs only one, without topics."""
    return await make_settings()


@pytest.fixture
async def topics(settings: Settings) -> Names:
    """Return the names of the topics of `settings`, which exist now."""
    await ensure_topics(settings)
    return Names(settings.namespace)


@pytest.fixture
async def start_worker(tmp_path: Path) -> AsyncIterator[StartWorker]:
    """Return a factory of worker processes, killed at the end of the test.

    name: its folder and static membership, so that a second worker needs another. A ready one
    answers 200 on GET /ready; log: tmp_path/logs/<name>.log.
    """
    workers: list[WorkerProcess] = []

    async def start(
        settings: Settings, role: Role, name: str = "", *, ready: bool = True
    ) -> WorkerProcess:
        name = name or f"{role}-{len(workers) + 1}"
        first = not any(worker.settings.role == role for worker in workers)
        fixed = settings.http_port if role == "collect" else settings.worker_port
        port = fixed if first and role in ("collect", "count") else free_port()
        own = worker_settings(
            settings, role, name, port, f"http://{settings.worker_host}:{settings.worker_port}"
        )
        worker = ForkedWorker(own, tmp_path / "logs" / f"{name}.log")
        workers.append(worker)
        worker.start()
        if ready:
            await worker.ready(READY_S)
        return worker

    yield start
    for worker in workers:
        worker.child.kill()


@pytest.fixture
async def settings_of_a_copy(settings: Settings) -> dict[str, str]:
    """Return the settings of `event-counter run` on the parts that all tests share."""
    given = settings.to_env()
    names = ("HTTP_PORT", "DATA_DIR", "KAFKA", "POSTGRES", "REDIS", "NAMESPACE")
    return {name.lower(): given[f"EVENT_COUNTER_{name}"] for name in names}
