"""The archive is put back as it was before, or lost: what it lacks is read from Kafka again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from app.names import Names
from app.settings import Settings
from tests.conftest import MakeSettings, StartWorker
from tests.support.archive import app_events, users
from tests.support.kafka_client import KafkaClient
from tests.support.waiting import wait_until

FOLDERS = "archive", ".archive"
Lose = Callable[[Path, Path], None]


def put_back(base: Path, then: Path) -> None:
    """As from a snapshot of the disk."""
    lose(base, then)
    for name in FOLDERS:
        shutil.copytree(then / name, base / name)


def put_back_files(base: Path, then: Path) -> None:
    """As out of a backup, by hand."""
    lose(base, then)
    shutil.copytree(then / "archive", base / "archive")


def lose(base: Path, _then: Path) -> None:
    for name in FOLDERS:
        shutil.rmtree(base / name)


@pytest.fixture
async def settings(make_settings: MakeSettings) -> Settings:
    return await make_settings(archive_interval_s=0.3, enrich_interval_s=1e9)


@pytest.mark.usefixtures("topics")
@pytest.mark.parametrize("happens", [put_back, put_back_files, lose])
async def test_what_it_lacks_is_archived_again_and_each_row_once(
    settings: Settings,
    kafka: KafkaClient,
    start_worker: StartWorker,
    tmp_path: Path,
    happens: Lose,
) -> None:
    base, topic = settings.data_dir, Names(settings.namespace).events

    async def send(first: int, last: int) -> None:
        await kafka.send(topic, app_events(range(first, last)))
        await kafka.send(topic, [b'{"type":"VIEW","url":"/none"}'] * 20)
        await wait_until(lambda: users(base), list(range(last)), deadline_s=30)

    worker = await start_worker(settings, "archive")
    await send(0, 300)
    await worker.stop()
    shutil.copytree(base, tmp_path / "then", ignore=shutil.ignore_patterns("*.lock"))
    worker.start()
    await send(300, 600)
    await worker.stop()
    happens(base, tmp_path / "then")
    worker.start()
    await wait_until(lambda: users(base), list(range(600)), deadline_s=30)
    await send(600, 700)
