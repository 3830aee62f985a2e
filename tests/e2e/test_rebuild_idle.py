"""What waits for the store, where Kafka has deleted all of a partition that nobody sends to."""

from __future__ import annotations

import asyncio

from app.cli.progress import ProgressLog
from app.cli.rebuild import rebuild_tables
from app.kafka.topics import ensure_topics
from app.settings import Settings
from tests.conftest import MakeSettings, StartWorker
from tests.e2e.test_forget import start_again
from tests.support.kafka_client import KafkaClient
from tests.support.stores import QUICK, ROLES, Stores
from tests.support.waiting import wait_until

BEGIN, IDLE = 57, 2


async def idle_stores(settings: Settings, kafka: KafkaClient, start_worker: StartWorker) -> Stores:
    """Return stores that are started with a partition that is empty from BEGIN on."""
    await ensure_topics(settings)
    stores = Stores(settings, kafka, 7)
    await kafka.send(stores.events, [b"old"] * BEGIN, IDLE)
    await kafka.delete_before(stores.events, {IDLE: BEGIN})
    stores.workers = [await start_worker(settings, role) for role in ROLES]
    url = f"http://{settings.worker_host}:{settings.worker_port}"
    stores.settings = settings.model_copy(update={"count_urls": url})
    return stores


async def test_tables_are_rebuilt_beside_a_partition_of_which_nothing_was_stored(
    make_settings: MakeSettings, kafka: KafkaClient, start_worker: StartWorker
) -> None:
    stores = await idle_stores(await make_settings(**QUICK), kafka, start_worker)
    for partition in {*range(stores.settings.events_partitions)} - {IDLE}:
        await kafka.send(stores.events, [b'{"type":"A","url":"/a"}'] * 20, partition)

    async def stored() -> dict[int, int]:
        rows = await stores.database.fetch("select partition, next_offset from sink_offsets")
        return {row[0]: row[1] for row in rows}

    await wait_until(stored, lambda found: found.get(IDLE) == BEGIN)
    assert await stores.differences() == []
    store, count = stores.workers
    await store.stop()
    await stores.database.fetch("delete from sink_offsets where partition = $1", IDLE)
    store.start()  # its group has committed BEGIN, as that of an older version has
    await wait_until(stored, lambda found: found.get(IDLE) == BEGIN)
    with ProgressLog() as progress:
        await asyncio.gather(rebuild_tables(stores.settings, progress), start_again(count))
    assert await stores.differences() == []
    assert (await stores.audit())["missing"] == 0
    await stores.redis.aclose()
