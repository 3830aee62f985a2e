"""All brokers have other addresses, and the settings lead to them: workers find them again."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import aiohttp

from app.kafka.topics import ensure_topics
from app.settings import Role
from app.stack.ports import LOOPBACK, free_port
from app.stack.workers import WorkerProcess
from tests.conftest import MakeSettings, StartWorker
from tests.losses.test_cut_logs import QUICK
from tests.losses.test_new_kafka import send, stored
from tests.support import archive
from tests.support.http import Http
from tests.support.losing_kafka import LosingKafka, clicks
from tests.support.waiting import wait_until

ROLES: tuple[Role, ...] = ("store", "count", "archive")


async def is_told(worker: WorkerProcess) -> bool:
    """Return whether a worker says that it does not hear Kafka."""
    async with aiohttp.ClientSession() as session:
        answer = await Http(session, worker.url).get("/ready")
    return answer.status == 503 and "nothing heard from Kafka" in str(answer.json)


async def started_again(worker: WorkerProcess) -> None:
    """Start a worker once it has ended by itself, as a supervisor does."""
    await wait_until(worker.child.alive, expected=False, deadline_s=60)
    worker.start()
    await worker.ready()


async def test_workers_find_a_kafka_that_has_moved(
    losing_kafka: LosingKafka,
    make_settings: MakeSettings,
    start_worker: StartWorker,
    tmp_path: Path,
) -> None:
    there = free_port()
    settings = await make_settings(
        kafka=f"{losing_kafka.address},{LOOPBACK}:{there}",
        statistics=False,
        archive_interval_s=0.2,
        **QUICK,
    )
    await ensure_topics(settings)
    workers = await asyncio.gather(*(start_worker(settings, role) for role in ROLES))
    await send(settings, 200, "/here")
    await stored(settings, 200)
    losing_kafka.kill()
    for worker in workers:
        await wait_until(partial(is_told, worker), expected=True)
    losing_kafka.move(there)
    await losing_kafka.start()
    await asyncio.gather(*map(started_again, workers))
    await send(settings, 100, "/there")
    await stored(settings, 300)
    async with aiohttp.ClientSession() as session:
        counts = Http(session, workers[1].url)
        await wait_until(lambda: clicks(counts, "/there"), 100, deadline_s=60)
        assert await clicks(counts, "/here") == 200
    await wait_until(lambda: len(archive.read(settings.data_dir)), 300, deadline_s=60)
    for worker in workers:
        assert "Kafka has moved" in (tmp_path / "logs" / f"{worker.name}.log").read_text()
