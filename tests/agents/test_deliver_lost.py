"""Alerts to a webhook where Kafka lost some that were delivered: no old one again, each new one."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from agents.deliver_alerts import deliver
from app.alerting.delivered import delivered
from app.alerting.webhook import Webhook
from app.kafka.clients import KafkaClients
from app.names import Names
from app.settings import Settings
from tests.support.kafka_client import KafkaClient
from tests.support.receiver import Receiver
from tests.support.waiting import wait_until

BEFORE_MS = 100_000  # ago: when what was delivered was raised


@asynccontextmanager
async def delivering(settings: Settings) -> AsyncIterator[Receiver]:
    """Deliver while inside, as a count worker does; yield the receiver."""
    async with Receiver() as receiver:
        await receiver.open()
        webhook, app = Webhook(receiver.url, "k"), SimpleNamespace(should_stop=False)
        task = asyncio.create_task(deliver(app, webhook, settings))
        try:
            yield receiver
            assert not task.done(), task
        finally:
            app.should_stop = True
            await asyncio.wait([task])
            await webhook.close()


async def raise_alert(
    kafka: KafkaClient, names: Names, key: str, age_ms: int = 0, partition: int = 0
) -> None:
    body = json.dumps({"rule": "r", "key": key}).encode()
    now_ms = int(time.time() * 1000) - age_ms
    await kafka.send(names.alerts, [body], partition, key=key.encode(), timestamp_ms=now_ms)


async def commit(kafka: KafkaClient, names: Names, offset: int, note: str) -> None:
    """Let the group of the webhook be somewhere."""
    async with AIOKafkaConsumer(
        bootstrap_servers=kafka.address, group_id=names.webhook_group, enable_auto_commit=False
    ) as consumer:
        part = TopicPartition(names.alerts, 0)
        consumer.assign([part])
        await consumer.commit({part: (offset, note)})


@pytest.mark.parametrize("noted", [True, False])
async def test_a_log_that_ends_before_what_was_delivered_is_not_delivered_again(
    settings: Settings, topics: Names, kafka: KafkaClient, noted: bool
) -> None:
    for key in ("a", "b"):
        await raise_alert(kafka, topics, key, BEFORE_MS)
    newest = int(time.time() * 1000) - BEFORE_MS
    await commit(kafka, topics, 5, str(newest) if noted else "")
    async with delivering(settings) as receiver:
        await raise_alert(kafka, topics, "other", partition=1)
        await wait_until(lambda: receiver.keys, ["other"])  # all partitions are read now
        await raise_alert(kafka, topics, "new")
        await wait_until(lambda: receiver.keys, ["other", "new"])


async def test_what_came_in_the_place_of_what_was_delivered_is_delivered(
    settings: Settings, topics: Names, kafka: KafkaClient
) -> None:
    await raise_alert(kafka, topics, "a", BEFORE_MS)
    await commit(kafka, topics, 3, str(int(time.time() * 1000) - BEFORE_MS))
    for key in ("in its place", "too", "behind"):
        await raise_alert(kafka, topics, key)
    async with delivering(settings) as receiver:
        await wait_until(lambda: receiver.keys, ["in its place", "too", "behind"])


async def test_the_newest_that_was_delivered_is_noted(
    settings: Settings, topics: Names, kafka: KafkaClient
) -> None:
    await raise_alert(kafka, topics, "a")
    async with delivering(settings) as receiver:
        await wait_until(lambda: receiver.keys, ["a"])
        await wait_until(lambda: kafka.committed(topics.webhook_group, topics.alerts), {0: 1})
    for key in ("b", "c"):
        await raise_alert(kafka, topics, key)
    await commit_forward(kafka, topics, 3)
    async with delivering(settings) as receiver:
        await wait_until(lambda: receiver.keys, ["b", "c"])


async def commit_forward(kafka: KafkaClient, names: Names, offset: int) -> None:
    """Let the group be further on, with its note: as if the log had been longer."""
    clients = KafkaClients(kafka.address)
    (done,) = (await delivered(clients, names.webhook_group)).values()
    await commit(kafka, names, offset, str(done.newest))
