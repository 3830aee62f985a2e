"""Role count beside a partition that nobody sends to, whose log begins above 0."""

from __future__ import annotations

from app.names import Names
from app.settings import Settings
from tests.conftest import StartWorker
from tests.support.kafka_client import KafkaClient
from tests.support.waiting import wait_until

BEGIN = 57


async def test_it_starts_again(
    kafka: KafkaClient, settings: Settings, topics: Names, start_worker: StartWorker
) -> None:
    await kafka.send(topics.events, [b"old"] * BEGIN, 0)
    await kafka.delete_before(topics.events, {0: BEGIN})
    worker = await start_worker(settings, "count")

    async def committed() -> int:
        return (await kafka.committed(topics.count_group, topics.events)).get(0, 0)

    await wait_until(committed, BEGIN)
    await worker.stop()
    worker.start()
    await worker.ready()
