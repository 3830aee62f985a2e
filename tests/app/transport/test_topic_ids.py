"""A topic that is made anew has another id."""

from __future__ import annotations

from app.kafka.clients import KafkaClients
from app.kafka.topics import ensure_topics
from app.names import Names
from app.settings import Settings
from app.transport.topic_ids import ID_BYTES, NO_ID, topic_ids
from tests.support.kafka_client import KafkaClient


async def test_a_topic_keeps_its_id_until_it_is_made_anew(
    kafka: KafkaClient, settings: Settings
) -> None:
    names = Names(settings.namespace)
    topics = [names.counts, names.events, f"{settings.namespace}nowhere"]
    await ensure_topics(settings)
    client = KafkaClients.of(settings).client()
    await client.bootstrap()
    try:
        first = await topic_ids(client, topics)
        assert await topic_ids(client, topics) == first
        assert sorted(first) == sorted(topics[:2])
        assert {len(one) for one in first.values()} == {ID_BYTES}
        assert NO_ID not in first.values()
        await kafka.delete(names.counts)
        await ensure_topics(settings)
        second = await topic_ids(client, topics)
    finally:
        await client.close()
    assert second[names.events] == first[names.events]
    assert second[names.counts] != first[names.counts]
