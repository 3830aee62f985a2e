"""What fails is free again once it was told, and does not wait for a collection."""

from __future__ import annotations

import gc
import time
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import CoordinatorNotAvailableError, KafkaError, MessageSizeTooLargeError

import app.kafka.groups
from app.kafka.clients import KafkaClients
from app.kafka.session import KafkaSession, RecordBatch
from app.settings import Settings
from app.stack.ports import free_port
from tests.support.kafka_client import KafkaClient
from tests.support.kept import frames_in


async def test_a_knock_where_nobody_is_leaves_no_frame_in_a_cycle(kept: list[Any]) -> None:
    clients = KafkaClients(f"127.0.0.1:{free_port()},127.0.0.1:{free_port()}")
    for _ in range(3):
        with pytest.raises((KafkaError, OSError)):
            await clients.knock()
    gc.collect()
    assert not frames_in(kept, "app/kafka")


async def test_a_group_without_a_coordinator_leaves_no_frame_in_a_cycle(
    kept: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_admin: object, _group: str) -> int:
        raise CoordinatorNotAvailableError

    monkeypatch.setattr(AIOKafkaAdminClient, "find_coordinator", away)  # a moment of an election
    monkeypatch.setattr(app.kafka.groups, "RETRY_S", 0)
    admin = KafkaClients(f"127.0.0.1:{free_port()}").admin()
    with pytest.raises(CoordinatorNotAvailableError):
        await app.kafka.groups.coordinator(admin, "nobody")
    gc.collect()
    assert not frames_in(kept, "app/kafka")


async def test_a_batch_that_kafka_refuses_is_in_no_cycle(
    kept: list[Any], kafka: KafkaClient, settings: Settings
) -> None:
    topic = f"{settings.namespace}small"
    async with kafka.admin() as admin:
        small = NewTopic(topic, 1, 1, topic_configs={"max.message.bytes": "1000"})
        await admin.create_topics([small])
    await kafka.send(topic, [b"x"])  # it has a leader
    session = await KafkaSession.open(KafkaClients.of(settings), topic, 5)
    batch = RecordBatch(0)
    assert batch.append((b"", b"x" * 5000, int(time.time() * 1000)))
    with pytest.raises(MessageSizeTooLargeError):
        await session.send([batch])
    await session.close()
    gc.collect()
    assert not frames_in(kept, "app/kafka")
