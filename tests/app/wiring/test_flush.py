"""What Kafka takes late holds up neither a rebalance nor a stop, and only a stop gives it up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.admin import NewTopic

from app.settings import Settings
from app.transport import kafka_producer
from app.wiring import faust_app
from tests.app.transport.conftest import SOURCE, ThreadlessTransport
from tests.support.kafka_client import KafkaClient


async def make(kafka: KafkaClient, topic: str) -> None:
    """Make the topic."""
    async with kafka.admin() as admin:
        await admin.create_topics([NewTopic(topic, 1, 1)])


async def send_behind(app: Any, kafka: KafkaClient, topic: str) -> Any:
    """Send a record that Kafka does not take, as its topic is gone; return the future."""
    await make(kafka, topic)
    producer = kafka_producer(app)
    await producer.send_and_wait(topic, b"first")
    await kafka.delete(topic)
    return await producer.send(topic, b"x")


@pytest.fixture
async def app(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """Yield an app with a partition, and a producer that is not given much time."""
    monkeypatch.setattr(faust_app, "FLUSH_S", 0.2)
    made: Any = faust_app.batch_app(settings, "g", {SOURCE.topic}, set())
    made.transport = ThreadlessTransport(made.conf.broker_consumer, made)
    made._consumer = made.transport.create_consumer(
        callback=_nothing, on_partitions_revoked=_nothing, on_partitions_assigned=_nothing
    )
    await made.producer.start()
    yield made
    if not kafka_producer(made)._sender.sender_task.done():
        await made.producer.stop()
    else:
        await kafka_producer(made).client.close()


async def _nothing(*_: Any) -> None:
    """Nothing is delivered."""


async def test_a_rebalance_goes_on_and_what_was_sent_arrives_later(
    app: Any, settings: Settings, kafka: KafkaClient
) -> None:
    topic = f"{settings.namespace}gone"
    sent = await send_behind(app, kafka, topic)
    await app._on_partitions_revoked({SOURCE})
    assert not sent.done()
    await make(kafka, topic)
    async with asyncio.timeout(60):
        await sent
    assert await kafka.values(topic) == [b"x"]


async def test_a_stop_gives_up(
    app: Any, settings: Settings, kafka: KafkaClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await send_behind(app, kafka, f"{settings.namespace}gone")
    monkeypatch.setattr(app, "_stopped", SimpleNamespace(is_set=lambda: True))
    await app._producer_flush(app.log)
    await asyncio.wait([kafka_producer(app)._sender.sender_task])
