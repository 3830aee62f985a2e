"""What must be in a topic once, through a Kafka that goes away at any moment."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from time import monotonic, time
from typing import Any

import pytest
from aiokafka.admin import NewTopic
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError

from app.kafka import sure_topic
from app.kafka.clients import KafkaClients
from app.kafka.sure_topic import SureRecord, SureTopic
from tests.support.kafka_client import KafkaClient
from tests.support.kafka_faults import MortalKafka
from tests.support.waiting import wait_until

FIRST: list[SureRecord] = [(b"k", b"first", [])]
NEXT: list[SureRecord] = [(b"k", b"next", [])]
NOW_MS = int(time() * 1000)


@pytest.fixture
async def topic(broker: MortalKafka) -> str:
    """Return the name of an empty topic."""
    name = uuid.uuid4().hex
    async with KafkaClient(broker.address) as kafka, kafka.admin() as admin:
        await admin.create_topics([NewTopic(name, 1, 1)])
    return name


@pytest.fixture
async def way(broker: MortalKafka, topic: str) -> AsyncIterator[SureTopic]:
    """Yield the way to it; the broker lives again afterwards."""
    made = SureTopic(KafkaClients(broker.address), topic)
    yield made
    await made.close()


class Owner:
    """Is asked whether the partition is still ours; says so once Kafka is back."""

    def __init__(self, broker: MortalKafka, *, ours: bool = True, patient_s: float = 0) -> None:
        """patient_s: how long Kafka is away at least."""
        self.asked, self.ours = 0, ours
        self._broker, self._patient_s = broker, patient_s

    async def __call__(self) -> bool:
        self.asked += 1
        if self.asked == 1:
            back_at = monotonic() + self._patient_s
            await self._broker.start()
            await wait_until(lambda: monotonic() > back_at, expected=True)
        return self.ours


async def values(broker: MortalKafka, topic: str) -> list[Any]:
    """Return what is in the topic."""
    async with KafkaClient(broker.address) as kafka:
        return await kafka.values(topic)


async def test_the_first_record_waits_for_a_kafka_that_is_away(
    broker: MortalKafka, topic: str, way: SureTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long: nobody loses patience with who is away."""
    monkeypatch.setattr(sure_topic, "PATIENCE_S", 4)
    owner = Owner(broker, patient_s=5)
    broker.kill()
    assert await way.send(0, FIRST, NOW_MS, owner)
    assert owner.asked
    assert await values(broker, topic) == [b"first"]


async def test_a_kafka_that_dies_while_it_is_asked_for_the_topic_has_not_lost_it(
    broker: MortalKafka, topic: str, way: SureTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    bootstrap, owner = AIOKafkaClient.bootstrap, Owner(broker)

    async def last_bootstrap(client: Any) -> None:
        await bootstrap(client)
        if not owner.asked:
            broker.kill()

    monkeypatch.setattr(AIOKafkaClient, "bootstrap", last_bootstrap)
    assert await way.send(0, FIRST, NOW_MS, owner)
    assert owner.asked
    assert await values(broker, topic) == [b"first"]


@pytest.mark.parametrize("ours", [True, False])
async def test_a_record_that_kafka_did_not_get_is_sent_again_by_the_owner_alone(
    broker: MortalKafka, topic: str, way: SureTopic, ours: bool
) -> None:
    assert await way.send(0, FIRST, NOW_MS, Owner(broker))
    broker.kill()
    assert await way.send(0, NEXT, NOW_MS, Owner(broker, ours=ours)) == ours
    assert await values(broker, topic) == [b"first", b"next"][: 1 + ours]
    assert await way.send(0, NEXT, NOW_MS, Owner(broker)), "it connects anew"


async def test_who_names_no_owner_is_told_at_once(broker: MortalKafka, way: SureTopic) -> None:
    broker.kill()
    try:
        with pytest.raises(KafkaConnectionError):
            await asyncio.wait_for(way.send(0, FIRST, NOW_MS), 20)
    finally:
        await broker.start()
