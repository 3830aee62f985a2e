"""What tables of older versions may have counted: asked once nobody counts into them."""

from __future__ import annotations

import asyncio

from app.kafka.clients import KafkaClients
from app.kafka.succession import counted_before
from app.kafka.table_topics import TableTopics
from app.kafka.topics import ensure_topics
from app.names import Names
from app.settings import Settings
from app.stack.prepare import prepare_topics
from tests.support.kafka_client import KafkaClient
from tests.support.waiting import wait_until


async def test_older_tables_may_have_counted_all_until_their_last_worker_ended(
    settings: Settings, kafka: KafkaClient
) -> None:
    await prepare_topics(settings)
    first, kafka_of_settings = Names(settings.namespace), KafkaClients.of(settings)
    await ensure_topics(settings, 3)
    assert await counted_before(settings, 1) == {}, "there is nothing older"
    async with kafka_of_settings.consumer(group_id=first.count_group) as worker:
        worker.subscribe([first.counts])
        await wait_until(lambda: kafka.group(first.count_group), ("Stable", 1))
        found = asyncio.create_task(counted_before(settings, 3))
        done, _ = await asyncio.wait([found], timeout=1)
        assert not done, "somebody still answers"
        await kafka.send(first.events, [b"{}"] * 3, 1)
    assert await found == dict.fromkeys(range(settings.events_partitions), 0) | {1: 3}
    async with TableTopics(kafka_of_settings, settings.namespace) as topics:
        await topics.delete([1])
        await wait_until(topics.by_version, lambda found: 1 not in found)
    assert await counted_before(settings, 3) == {}, (
        "who deletes them knows that ours have caught up"
    )
