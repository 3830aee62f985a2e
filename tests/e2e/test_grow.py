"""`events` gets more partitions: every figure stays, and what comes after is counted in all."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.errors import StartError
from app.kafka.topics import ensure_topics
from app.names import Names
from app.settings import Settings
from app.stack.prepare import prepare_topics
from tests.conftest import MakeSettings, StartWorker
from tests.e2e.test_forget_months import figures
from tests.kill.test_own_counters import COUNTERS
from tests.support.kafka_client import KafkaClient
from tests.support.rebuilding import Command
from tests.support.stores import Stores
from tests.support.waiting import wait_until

MORE = 6


async def grow(settings: Settings, output: Path) -> tuple[int, str]:
    """Return exit code and output of the command."""
    return await Command(settings, [], output, "grow").done()


async def grow_and_die(settings: Settings, output: Path) -> None:
    """Kill the command -9 when Kafka has more partitions, and the tables are not counted."""
    command = Command(settings, [], output, "grow")
    await wait_until(command.said, lambda said: "counting all events" in said, deadline_s=60)
    await command.kill()


async def check_starts(settings: Settings, before: int) -> None:
    """Each number of partitions is refused with what to type, and one does what is typed."""
    with pytest.raises(StartError, match=f"Set EVENT_COUNTER_EVENTS_PARTITIONS={MORE}"):
        await prepare_topics(settings.model_copy(update={"events_partitions": before}))
    with pytest.raises(StartError, match="stop all workers and type event-counter grow"):
        await prepare_topics(settings)


async def start_all(stores: Stores, settings: Settings, start_worker: StartWorker) -> None:
    stores.workers = await asyncio.gather(
        *(start_worker(settings, role, f"{role}-grown") for role in ("store", "count"))
    )
    urls = f"http://{stores.workers[1].settings.worker_host}:"
    port = stores.workers[1].settings.worker_port
    stores.settings = settings.model_copy(update={"count_urls": f"{urls}{port}"})


async def test_every_figure_stays_and_all_partitions_count(
    make_settings: MakeSettings, kafka: KafkaClient, start_worker: StartWorker, tmp_path: Path
) -> None:
    stores = await Stores.start(make_settings, kafka, start_worker, counters=str(COUNTERS))
    await stores.send(600)
    assert await stores.differences() == []
    before = await figures(stores.settings)
    changes = {"events_partitions": MORE, "count_urls": "", "data_dir": tmp_path / "operator"}
    grown = stores.settings.model_copy(update=changes)
    code, said = await grow(grown, tmp_path / "running.txt")
    assert (code, "Stop all workers first" in said) == (1, True), said
    for worker in stores.workers:
        await worker.stop()
    await grow_and_die(grown, tmp_path / "killed.txt")
    await check_starts(grown, stores.settings.events_partitions)
    code, said = await grow(grown, tmp_path / "grown.txt")
    assert code == 0, said
    there = grown.model_copy(update={"data_dir": stores.settings.data_dir})
    await start_all(stores, there, start_worker)
    assert await figures(stores.settings) == before
    async with KafkaClient(grown.kafka) as stores.kafka:  # the older one knows of four
        await stores.send(400)
        ends = await stores.kafka.ends(Names(grown.namespace).events)
    assert len(ends) == MORE
    assert min(ends.values()) > 0
    assert await stores.differences() == []
    code, said = await grow(grown, tmp_path / "again.txt")
    assert (code, "nothing to do" in said) == (0, True), said
    await stores.redis.aclose()


async def test_none_are_counted_and_fewer_refused(settings: Settings, tmp_path: Path) -> None:
    code, said = await grow(settings, tmp_path / "none.txt")
    assert (code, "There is no topic" in said) == (1, True), said
    await ensure_topics(settings)
    none = settings.model_copy(update={"events_partitions": 5})
    code, said = await grow(none, tmp_path / "empty.txt")
    assert (code, "0 records counted anew" in said) == (0, True), said
    code, said = await grow(settings.model_copy(update={"events_partitions": 2}), tmp_path / "2")
    assert (code, "Kafka takes none away" in said) == (1, True), said
