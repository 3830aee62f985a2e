"""Whoever needs all alerts of some events waits until their distinct values are merged, too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from app.kafka.clients import KafkaClients
from app.kafka.table_topics import TableTopics
from app.kafka.tables_version import FIRST
from app.kafka.watermarks import Say, Watermarks
from app.names import Names
from app.reconcile.backup import Backup
from app.reconcile.live_workers import LiveWorkers
from app.reconcile.rebuild_tables import TablesRebuild
from app.settings import Settings
from tests.support.kafka_client import KafkaClient
from tests.support.waiting import wait_until

GOAL = {0: 1}
Wait = Callable[[Settings, Watermarks, TableTopics, Say], Awaitable[object]]


def backup(settings: Settings, kafka: Watermarks, _: TableTopics, say: Say) -> Awaitable[object]:
    return Backup(settings, kafka, Path(), say)._wait_for_counting(GOAL)


def tables(
    settings: Settings, kafka: Watermarks, topics: TableTopics, say: Say
) -> Awaitable[object]:
    workers = LiveWorkers(None, topics, FIRST, say)
    return TablesRebuild(settings, kafka, topics, say)._wait_for_live(workers, FIRST, GOAL)


@pytest.mark.parametrize("wait", [backup, tables])
async def test_distinct_values_are_waited_for(
    wait: Wait, settings: Settings, topics: Names, kafka: KafkaClient
) -> None:
    group, said = topics.count_group, list[str]()
    for topic in (topics.events, topics.counts, topics.uniques):
        await kafka.send(topic, [b"{}"], 0, key=b"k")
        if topic != topics.uniques:
            await kafka.commit(group, topic, GOAL)
    clients = KafkaClients.of(settings)
    async with Watermarks(clients) as marks, TableTopics(clients, settings.namespace) as there:
        waiting = asyncio.ensure_future(wait(settings, marks, there, said.append))
        await wait_until(lambda: bool(said) or waiting.done(), expected=True)
        assert not waiting.done()
        assert said[-1].endswith(": 1 records behind")
        await kafka.commit(group, topics.uniques, GOAL)
        await waiting


@pytest.mark.parametrize("wait", [backup, tables])
async def test_without_statistics_there_is_nothing_to_wait_for(
    wait: Wait, settings: Settings, topics: Names, kafka: KafkaClient
) -> None:
    for topic in (topics.events, topics.counts):
        await kafka.send(topic, [b"{}"], 0, key=b"k")
        await kafka.commit(topics.count_group, topic, GOAL)
    clients = KafkaClients.of(settings)
    await kafka.delete(topics.uniques)
    async with Watermarks(clients) as marks, TableTopics(clients, settings.namespace) as there:
        await wait(settings, marks, there, print)
