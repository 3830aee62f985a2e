"""Workers that several tests ask and none changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from app.kafka.topics import ensure_topics
from app.settings import Settings
from app.stack.kafka import Kafka
from app.stack.ports import free_port
from app.stack.workers import WorkerProcess, worker_settings
from tests.support.forked import ForkedWorker


@pytest.fixture
def shared_workers(shared: tuple[WorkerProcess, WorkerProcess]) -> str:
    """Return the URL of a collector with one count worker behind it."""
    return shared[1].url


@pytest.fixture
def shared_count_url(shared: tuple[WorkerProcess, WorkerProcess]) -> str:
    """Return the URL of that count worker."""
    return shared[0].url


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared(
    kafka_part: Kafka, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[WorkerProcess, WorkerProcess]]:
    """Yield a count worker and a collector before it."""
    folder: Path = tmp_path_factory.mktemp("shared")
    settings = Settings(
        kafka=kafka_part.address,
        namespace="shared.",
        data_dir=folder,
        http_port=free_port(),
        worker_port=free_port(),
        token="secret_token",
    )
    await ensure_topics(settings)
    url = f"http://{settings.worker_host}:{settings.worker_port}"
    workers = (
        ForkedWorker(
            worker_settings(settings, "count", "count-1", settings.worker_port),
            folder / "count.log",
        ),
        ForkedWorker(
            worker_settings(settings, "collect", "collect-1", settings.http_port, url),
            folder / "collect.log",
        ),
    )
    for worker in workers:
        worker.start()
    await asyncio.gather(*(worker.ready() for worker in workers))
    yield workers
    for worker in workers:
        worker.child.kill()
