"""Committed offsets of a group whose coordinator moves between two real brokers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import NewTopic

from app.errors import UnavailableError
from app.kafka.clients import KafkaClients
from app.kafka.groups import coordinator
from app.monitor.rates import RateSampler
from app.names import Names
from app.settings import Settings
from tests.support.brokers import Broker
from tests.support.kafka_client import KafkaClient
from tests.support.waiting import wait_until

REPLICATED = {
    "offsets.topic.replication.factor": "2",
    "offsets.topic.num.partitions": "8",
    # A broker that is back leads its partitions again at once, not minutes later.
    "leader.imbalance.check.interval.seconds": "1",
    "leader.imbalance.per.broker.percentage": "0",
}
SENT = 100


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[Broker, Broker]]:
    """Yield two brokers, each of which holds the offsets of all groups."""
    first = Broker(tmp_path / "1", REPLICATED)
    second = Broker(tmp_path / "2", REPLICATED, node=2, controller=first)
    await first.start()
    await second.start()
    yield first, second
    await second.stop()
    await first.stop()


async def commit(clients: KafkaClients, group: str, topic: str, offset: int) -> None:
    part = TopicPartition(topic, 0)
    async with clients.consumer(group_id=group) as consumer:
        consumer.assign([part])
        await consumer.commit({part: offset})


async def coordinated_by(admin: Any, node: int) -> str:
    """Return a namespace whose count group is coordinated by a node."""
    for number in count():
        namespace = f"n{number}."
        if await coordinator(admin, Names(namespace).count_group) == node:
            return namespace
    raise AssertionError


async def test_lag_stays_right_when_the_coordinator_moves(pair: tuple[Broker, Broker]) -> None:
    address = ",".join(broker.address for broker in pair)
    clients = KafkaClients(address)
    admin = clients.admin()
    await admin.start()
    namespace = await coordinated_by(admin, 2)
    names = Names(namespace)
    topics = names.events, names.rejected, names.tables_version
    await admin.create_topics([NewTopic(name, 1, 2) for name in topics])
    async with KafkaClient(address) as kafka:
        await kafka.send(names.events, [b"{}"] * SENT)
    for group in (names.count_group, names.store_group, names.archive_group):
        await commit(clients, group, names.events, SENT - 1)
    sampler = RateSampler(Settings(kafka=address, events_partitions=1, namespace=namespace))

    async def lag() -> int:
        await sampler.sample()
        await sampler.sample()
        return sampler.current().lag[names.count_group]

    try:
        assert await lag() == 1
        await pair[1].stop()
        await wait_until(lambda: coordinator(admin, names.count_group), 1)
        await wait_until(lag, 1, passing=(UnavailableError,))
        await pair[1].start()
        await wait_until(lambda: coordinator(admin, names.count_group), 2)
        assert await lag() == 1  # no connection broke: nothing says that it moved
    finally:
        await sampler.close()
        await admin.close()
