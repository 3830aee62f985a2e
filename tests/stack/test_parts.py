"""Each part of the local stack keeps its data and its address, whatever ends it."""

from __future__ import annotations

import asyncpg
import redis.asyncio

from app.settings import Names, Settings
from tests.support.kafka_client import KafkaClient
from tests.support.waiting import wait_until


async def test_the_fixtures_give_working_parts(
    kafka: KafkaClient, settings: Settings, topics: Names
) -> None:
    assert await kafka.send(topics.events, [b"a", b"b"], 1) == [0, 1]
    assert await kafka.values(topics.events) == [b"a", b"b"]
    assert await kafka.ends(topics.events) == {0: 0, 1: 2, 2: 0, 3: 0}
    assert await kafka.committed("nobody", topics.events) == {}
    connection = await asyncpg.connect(settings.postgres.get_secret_value())
    await wait_until(lambda: connection.fetchval("select 1"), 1)
    await connection.close()
    client = redis.asyncio.Redis.from_url(settings.redis.get_secret_value())
    assert await client.ping()
    await client.aclose()
