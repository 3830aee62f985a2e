"""Role archive as a process: app events on disk, each once, through kills and rebalances."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from app.archive.files import Folders
from app.kafka.topics import ensure_topics
from app.names import Names
from app.settings import Settings
from app.stack.ports import free_port
from app.stack.workers import worker_settings
from tests.conftest import MakeSettings, StartWorker
from tests.support import archive
from tests.support.archive import app_events
from tests.support.batches import events
from tests.support.forked import ForkedWorker
from tests.support.kafka_client import KafkaClient
from tests.support.running_copy import ROOT
from tests.support.seeds import kill_seed
from tests.support.waiting import wait_until

PARTITIONS = 4


@pytest.fixture
async def settings(make_settings: MakeSettings) -> Settings:
    """Return settings under which new files come several times a second."""
    return await make_settings(archive_interval_s=0.3, enrich_interval_s=1e9)


async def send(
    kafka: KafkaClient, topic: str, numbers: range, *days: int, named: bool = False
) -> None:
    """Spread app events over partitions and dates; days: of September 2026.

    named: each with its number as its message_id.
    """
    for partition in range(PARTITIONS):
        mine = [n for n in numbers if n % PARTITIONS == partition]
        await kafka.send(topic, [app_event(n, days or (22,), named=named) for n in mine], partition)


def app_event(number: int, days: tuple[int, ...], *, named: bool) -> bytes:
    day = days[number // PARTITIONS % len(days)]
    names = {"message_id": str(number)} if named else {}
    return app_events([number], timestamp=f"2026-09-{day}T23:59:59Z", **names)[0]


def users(settings: Settings) -> list[int]:
    return archive.users(settings.data_dir)


async def test_app_events_are_archived_and_all_else_is_passed_over(
    kafka: KafkaClient, settings: Settings, topics: Names, start_worker: StartWorker
) -> None:
    await start_worker(settings, "archive")
    await send(kafka, topics.events, range(1000), 21, 22)
    await kafka.send(topics.events, [b"no json", b"{}", *events(range(50))], 1)
    await wait_until(lambda: users(settings), list(range(1000)))
    ends = await kafka.ends(topics.events)
    await wait_until(lambda: kafka.committed(topics.archive_group, topics.events), ends)
    assert {file.parent.name for file in archive.files(settings.data_dir)} == {
        "date=2026-09-21",
        "date=2026-09-22",
    }


async def test_a_stop_does_not_wait_for_the_interval(
    kafka: KafkaClient, make_settings: MakeSettings, start_worker: StartWorker
) -> None:
    settings = await make_settings(archive_interval_s=200)
    await ensure_topics(settings)
    topics = Names(settings.namespace)

    async def committed() -> dict[int, int]:
        return await kafka.committed(topics.archive_group, topics.events)

    worker = await start_worker(settings, "archive")
    for partition in range(PARTITIONS):
        await kafka.send(topics.events, events(range(100)), partition)
    await wait_until(committed, dict.fromkeys(range(PARTITIONS), 100))
    await send(kafka, topics.events, range(1000))
    await kafka.send(topics.events, events(range(100)), 0)
    await asyncio.sleep(1.5)  # the commit interval is 1 s
    assert await committed() == dict.fromkeys(range(PARTITIONS), 100)
    assert archive.files(settings.data_dir) == []
    await worker.stop()
    assert worker.child.exit_code() == 0
    assert users(settings) == list(range(1000))
    assert await committed() == await kafka.ends(topics.events)


async def test_a_second_worker_takes_over_what_is_new_and_doubles_nothing(
    kafka: KafkaClient, settings: Settings, topics: Names, start_worker: StartWorker
) -> None:
    await start_worker(settings, "archive")
    await send(kafka, topics.events, range(2000))
    await start_worker(settings, "archive")
    await send(kafka, topics.events, range(2000, 4000))
    await wait_until(lambda: len(users(settings)), lambda rows: rows >= 4000, deadline_s=20)
    assert users(settings) == list(range(4000))


async def test_a_frozen_worker_that_comes_back_archives_nothing_twice(
    kafka: KafkaClient, settings: Settings, topics: Names, start_worker: StartWorker
) -> None:
    frozen = await start_worker(settings, "archive")
    await send(kafka, topics.events, range(4000))
    await wait_until(lambda: users(settings), lambda rows: rows)
    with Folders.of(settings).writing(20):  # who is frozen with the lock stops its successor, too
        frozen.child.signal(signal.SIGSTOP)
        process = psutil.Process(frozen.child.pid)
        await wait_until(process.status, psutil.STATUS_STOPPED)
    await start_worker(settings, "archive", ready=False)
    await send(kafka, topics.events, range(4000, 8000))
    await wait_until(lambda: len(users(settings)), 8000, deadline_s=60)
    frozen.child.signal(signal.SIGCONT)
    await send(kafka, topics.events, range(8000, 9000))
    await wait_until(lambda: len(users(settings)), lambda rows: rows >= 9000, deadline_s=40)
    ends = await kafka.ends(topics.events)
    await wait_until(
        lambda: kafka.committed(topics.archive_group, topics.events), ends, deadline_s=40
    )
    assert users(settings) == list(range(9000))


async def test_a_disk_that_takes_nothing_stops_the_worker_before_it_commits(
    kafka: KafkaClient, settings: Settings, topics: Names, start_worker: StartWorker
) -> None:
    settings.data_dir.mkdir(parents=True)
    (settings.data_dir / ".archive").touch()  # where a folder should be
    worker = await start_worker(settings, "archive")
    await send(kafka, topics.events, range(400))
    await wait_until(worker.child.alive, expected=False)
    assert worker.child.exit_code()
    assert set((await kafka.committed(topics.archive_group, topics.events)).values()) <= {0}
    (settings.data_dir / ".archive").unlink()
    worker.start()
    await wait_until(lambda: users(settings), list(range(400)), deadline_s=20)


class DyingArchiver(ForkedWorker):
    """An archive worker whose next processes end as told; see dying_archiver."""

    fates: tuple[str, ...] = ()

    def start(self) -> None:
        self.settings.data_dir.mkdir(parents=True, exist_ok=True)
        fate, *rest = self.fates or ("",)
        self.fates = tuple(rest)
        own = {"ARCHIVER_DIES": fate, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "tests.support.dying_archiver"]
        self.child.spawn(command, {**os.environ, **self.settings.to_env(), **own})


@pytest.fixture
async def make_archiver(tmp_path: Path) -> AsyncIterator[Callable[[Settings], DyingArchiver]]:
    """Return a factory of dying archivers, killed at the end of the test."""
    made: list[DyingArchiver] = []

    def make(settings: Settings) -> DyingArchiver:
        own = worker_settings(settings, "archive", "archive-1", free_port())
        made.append(DyingArchiver(own, tmp_path / "logs/archive-1.log"))
        return made[-1]

    yield make
    for worker in made:
        worker.child.kill()


@pytest.mark.kill
async def test_kill_9_at_any_step_and_at_random_moments_archives_every_event_once(
    kafka: KafkaClient,
    settings: Settings,
    topics: Names,
    make_archiver: Callable[[Settings], DyingArchiver],
) -> None:
    seed = kill_seed()
    print(f"KILL_SEED={seed}")  # noqa: T201 - shown with a failure
    rng, sent = random.Random(seed), 0
    worker = make_archiver(settings)
    steps = [("write", 6), ("publish", 12), ("messages", 6), ("written", 3), ("commit", 3)]
    steps += [("exchange", 2), ("", 0), ("", 0)]  # the last ones: killed from outside
    worker.fates = tuple(
        f"{step} {rng.randrange(most)}" if step else "" for step, most in rng.sample(steps, 8)
    )
    while worker.fates:
        outside = not worker.fates[0]
        worker.start()
        kill_at = asyncio.get_running_loop().time() + 3 + 2 * rng.random()
        while worker.child.alive():
            for _ in range(3):  # as a client that retries
                await send(kafka, topics.events, range(sent, sent + 130), 20, 21, 22, named=True)
            sent += 130
            await asyncio.sleep(0.1 * rng.random())
            if outside and asyncio.get_running_loop().time() > kill_at:
                worker.child.kill()
        assert worker.child.exit_code() == -signal.SIGKILL, worker.child.last_words(5)
    worker.start()
    await wait_until(lambda: len(users(settings)), lambda rows: rows >= sent, deadline_s=60)
    ends = await kafka.ends(topics.events)
    await wait_until(lambda: kafka.committed(topics.archive_group, topics.events), ends)
    assert users(settings) == list(range(sent))
