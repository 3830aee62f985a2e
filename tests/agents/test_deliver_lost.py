"""Alerts to a webhook where Kafka lost some that were delivered: no old one again, each new one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from functools import partialmethod

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from agents import deliver_alerts
from app.alerting.delivered import AlertsDone, delivered, read_on
from app.kafka.clients import KafkaClients
from app.names import Names
from app.settings import Settings
from tests.support.delivering import answering, delivering, raise_alerts
from tests.support.kafka_client import KafkaClient
from tests.support.waiting import wait_until

SESSION_MS = 6000  # the least that Kafka allows
BEFORE_MS = 100_000  # ago: when what was delivered was raised


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
        await raise_alerts(kafka, topics, key, age_ms=BEFORE_MS)
    newest = int(time.time() * 1000) - BEFORE_MS
    await commit(kafka, topics, 5, str(newest) if noted else "")
    async with answering() as receiver, delivering(settings, receiver):
        await raise_alerts(kafka, topics, "other", partition=1)
        await wait_until(lambda: receiver.keys, ["other"])  # all partitions are read now
        await raise_alerts(kafka, topics, "new")
        await wait_until(lambda: receiver.keys, ["other", "new"])


async def test_what_came_in_the_place_of_what_was_delivered_is_delivered(
    settings: Settings, topics: Names, kafka: KafkaClient
) -> None:
    await raise_alerts(kafka, topics, "a", age_ms=BEFORE_MS)
    await commit(kafka, topics, 3, str(int(time.time() * 1000) - BEFORE_MS))
    for key in ("in its place", "too", "behind"):
        await raise_alerts(kafka, topics, key)
    async with answering() as receiver, delivering(settings, receiver):
        await wait_until(lambda: receiver.keys, ["in its place", "too", "behind"])


async def test_the_newest_that_was_delivered_is_noted(
    settings: Settings, topics: Names, kafka: KafkaClient
) -> None:
    await raise_alerts(kafka, topics, "a")
    async with answering() as receiver, delivering(settings, receiver):
        await wait_until(lambda: receiver.keys, ["a"])
        await wait_until(lambda: kafka.committed(topics.webhook_group, topics.alerts), {0: 1})
    for key in ("b", "c"):
        await raise_alerts(kafka, topics, key)
    await commit_forward(kafka, topics, 3)
    async with answering() as receiver, delivering(settings, receiver):
        await wait_until(lambda: receiver.keys, ["b", "c"])


async def commit_forward(kafka: KafkaClient, names: Names, offset: int) -> None:
    """Let the group be further on, with its note: as if the log had been longer."""
    clients = KafkaClients(kafka.address)
    (done,) = (await delivered(clients, names.webhook_group)).values()
    await commit(kafka, names, offset, str(done.newest))


async def test_a_question_that_takes_long_costs_no_membership(
    settings: Settings,
    topics: Names,
    kafka: KafkaClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It was thrown out again and again: each question waited for the end of an idle fetch."""
    times = {"session_timeout_ms": SESSION_MS, "heartbeat_interval_ms": 500}
    monkeypatch.setattr(KafkaClients, "consumer", partialmethod(KafkaClients.consumer, **times))
    questions = 0

    async def slow(
        clients: KafkaClients, group: str, parts: Collection[TopicPartition]
    ) -> dict[TopicPartition, AlertsDone]:
        nonlocal questions
        questions += 1
        found = await read_on(clients, group, parts)
        await asyncio.sleep(SESSION_MS / 1000 + 1)
        return found

    monkeypatch.setattr(deliver_alerts, "read_on", slow)
    await raise_alerts(kafka, topics, "a")
    async with answering() as receiver, delivering(settings, receiver):
        await wait_until(lambda: receiver.keys, ["a"], deadline_s=30)
        await wait_until(lambda: kafka.committed(topics.webhook_group, topics.alerts), {0: 1})
    assert questions == 1, caplog.text
