"""Role store as a process: every record once, through kills, outages and replays."""

from __future__ import annotations

import asyncio
import random
import signal
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from app.factory import create_app
from app.kafka.topics import ensure_topics
from app.names import Names
from app.settings import Settings
from app.stack.postgres import LocalPostgres
from tests.conftest import MakeSettings, StartWorker
from tests.support.batches import events
from tests.support.database import Database
from tests.support.kafka_client import KafkaClient
from tests.support.readiness import away_seconds, state_of
from tests.support.waiting import wait_until

PARTITIONS = 4


def database_of(settings: Settings) -> Database:
    return Database(settings.postgres.get_secret_value())


async def send(kafka: KafkaClient, topic: str, numbers: range) -> None:
    """Spread events over the partitions."""
    for partition in range(PARTITIONS):
        mine = [n for n in numbers if n % PARTITIONS == partition]
        await kafka.send(topic, events(mine), partition)


async def count(database: Database) -> int:
    [[rows]] = await database.fetch("select count(*) from event")
    return int(rows)


async def test_all_valid_records_are_stored_and_committed(
    kafka: KafkaClient, settings: Settings, topics: Names, start_worker: StartWorker
) -> None:
    await send(kafka, topics.events, range(2000))
    await kafka.send(topics.events, [b"no json", b"{}", *events([2000])], 1)
    await start_worker(settings, "store")
    database = database_of(settings)
    await wait_until(lambda: count(database), 2001)
    await send(kafka, topics.events, range(2001, 3000))
    await wait_until(database.uuids, list(range(3000)))
    ends = await kafka.ends(topics.events)
    await wait_until(lambda: kafka.committed(topics.store_group, topics.events), ends)
    offsets = await database.offsets()
    assert {partition: end for partition, (end, _) in offsets.items()} == ends
    assert sum(stored for _, stored in offsets.values()) == 3000


async def test_kill_9_under_load_loses_and_doubles_nothing(
    kafka: KafkaClient, settings: Settings, topics: Names, start_worker: StartWorker
) -> None:
    worker, rng, sent = await start_worker(settings, "store"), random.Random(5), 0
    for _ in range(4):
        await send(kafka, topics.events, range(sent, sent + 20_000))
        sent += 20_000
        await asyncio.sleep(rng.random() * 0.3)  # somewhere in the middle of the batches
        worker.child.kill()
        worker.start()
    database = database_of(settings)
    await wait_until(lambda: count(database), lambda rows: rows >= sent, deadline_s=40)
    await worker.ready()
    assert await database.uuids() == list(range(sent))


async def test_a_group_that_reads_all_again_stores_nothing_twice(
    kafka: KafkaClient, settings: Settings, topics: Names, start_worker: StartWorker
) -> None:
    await send(kafka, topics.events, range(1000))
    worker, database = await start_worker(settings, "store"), database_of(settings)
    await wait_until(lambda: count(database), 1000)
    await worker.stop()
    await kafka.put_back(topics.store_group, topics.events, dict.fromkeys(range(PARTITIONS), 100))
    await send(kafka, topics.events, range(1000, 1100))
    worker.start()
    await wait_until(lambda: count(database), lambda rows: rows >= 1100, deadline_s=30)
    assert await database.uuids() == list(range(1100))
    ends = await kafka.ends(topics.events)
    await wait_until(lambda: kafka.committed(topics.store_group, topics.events), ends)


async def test_postgres_is_asked_while_nobody_sends(
    make_settings: MakeSettings, start_worker: StartWorker, tmp_path: Path
) -> None:
    part = LocalPostgres(tmp_path / "postgres", tmp_path / "postgres.log")
    settings = await make_settings(postgres=await part.start())
    await ensure_topics(settings)
    worker = await start_worker(settings, "store")
    said = tmp_path / "logs" / f"{worker.name}.log"
    for outage in (1, 2):
        await part.stop()
        await wait_until(lambda: state_of(worker), ("degraded", {"event"}))
        before = await away_seconds(worker, "event")
        again = partial(away_seconds, worker, "event")  # asked, and nothing is said again
        await wait_until(again, lambda seconds, before=before: seconds > before + 2)
        assert said.read_text().count("Postgres is away") == outage
        await part.start()
        await wait_until(lambda: state_of(worker), ("ready", set()))
    password = urlsplit(part.address).password
    assert password
    assert password not in said.read_text()
    await worker.stop()
    await part.stop()


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_a_postgres_that_is_away_makes_the_same_worker_wait(
    how: str,
    kafka: KafkaClient,
    make_settings: MakeSettings,
    start_worker: StartWorker,
    tmp_path: Path,
) -> None:
    part = LocalPostgres(tmp_path / "postgres", tmp_path / "postgres.log")
    settings = await make_settings(postgres=await part.start())
    await ensure_topics(settings)
    topics, database = Names(settings.namespace), database_of(settings)
    worker = await start_worker(settings, "store")
    await send(kafka, topics.events, range(400))
    await wait_until(lambda: count(database), 400)
    pid, ends = worker.child.pid, await kafka.ends(topics.events)
    await wait_until(lambda: kafka.committed(topics.store_group, topics.events), ends)

    if how == "stop":
        await part.stop()
    else:
        part.child.kill()
    await send(kafka, topics.events, range(400, 4000))
    said = tmp_path / "logs" / f"{worker.name}.log"
    await wait_until(lambda: "Postgres is away" in said.read_text(), expected=True)
    await asyncio.sleep(8)  # longer than the session timeout of 6 s
    assert await kafka.committed(topics.store_group, topics.events) == ends
    await part.start()
    await wait_until(lambda: count(database), 4000, passing=(OSError,))
    assert await database.uuids() == list(range(4000))
    assert worker.child.pid == pid
    assert worker.child.alive()
    assert said.read_text().count("Postgres is away") == 1
    await worker.stop()
    await part.stop()


async def test_a_worker_may_start_before_postgres(
    kafka: KafkaClient, make_settings: MakeSettings, start_worker: StartWorker, tmp_path: Path
) -> None:
    part = LocalPostgres(tmp_path / "postgres", tmp_path / "postgres.log")
    settings = await make_settings(postgres=await part.start())
    await part.stop()
    await ensure_topics(settings)
    topics, database = Names(settings.namespace), database_of(settings)
    await send(kafka, topics.events, range(400))
    worker = await start_worker(settings, "store", ready=False)
    said = tmp_path / "logs" / f"{worker.name}.log"
    await wait_until(lambda: "Postgres is away" in said.read_text(), expected=True)
    await part.start()
    await wait_until(database.uuids, list(range(400)), passing=(Exception,), deadline_s=20)
    await worker.stop()
    await part.stop()


async def test_a_frozen_worker_that_comes_back_stores_nothing_twice(
    kafka: KafkaClient, settings: Settings, topics: Names, start_worker: StartWorker
) -> None:
    frozen, database = await start_worker(settings, "store"), database_of(settings)
    await send(kafka, topics.events, range(20_000))
    await wait_until(lambda: count(database), lambda rows: rows > 0)
    frozen.child.signal(signal.SIGSTOP)
    await start_worker(settings, "store", ready=False)
    await send(kafka, topics.events, range(20_000, 40_000))
    await wait_until(lambda: count(database), 40_000, deadline_s=60)
    frozen.child.signal(signal.SIGCONT)
    await send(kafka, topics.events, range(40_000, 41_000))
    await wait_until(lambda: count(database), lambda rows: rows >= 41_000, deadline_s=40)
    ends = await kafka.ends(topics.events)
    await wait_until(
        lambda: kafka.committed(topics.store_group, topics.events), ends, deadline_s=40
    )
    assert await database.uuids() == list(range(41_000))


def test_no_outage_is_too_long_for_the_group() -> None:
    """Past the limit aiokafka leaves the group, and this worker would idle for good."""
    settings = Settings(kafka="127.0.0.1:1", postgres=SecretStr("postgresql://x"), role="store")
    assert create_app(settings).conf.broker_max_poll_interval > 365 * 86_400
