"""The collector on a Kafka that is well: what it sends, in which order, how few batches."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from prometheus_client import REGISTRY

from app.errors import KafkaUnavailableError, TooLargeError
from app.events.event import Event
from app.events.murmur2 import partition_of
from app.events.packing import PackedRecord
from app.ingest.collector import Collector
from app.names import Names
from app.settings import Settings
from tests.support.kafka_client import KafkaClient
from tests.support.waiting import wait_until

NOW_MS = time.time_ns() // 1_000_000  # Kafka deletes what is older than its retention

StartCollector = Callable[..., Awaitable[Collector]]


@pytest.fixture
async def start_collector(settings: Settings) -> AsyncIterator[StartCollector]:
    """Return a factory of connected collectors."""
    started: list[Collector] = []

    async def start(own: Settings = settings) -> Collector:
        collector = Collector(own)
        await collector.start()
        started.append(collector)
        await wait_until(collector.check_ready, bool, passing=(KafkaUnavailableError,))
        return collector

    yield start
    for collector in started:
        await collector.stop()


def records(count: int, key: str = "key", size: int = 1) -> list[PackedRecord]:
    return [(f"{key}{n}".encode(), b"%d" % n + b" " * size, NOW_MS) for n in range(count)]


async def test_long_keys_are_hashed_in_many_turns(
    start_collector: StartCollector, topics: Names, kafka: KafkaClient
) -> None:
    collector = await start_collector()
    long = records(64, "k" * 30_000)
    sending = asyncio.create_task(collector.send_records(long))
    await asyncio.sleep(0)  # its first turn
    assert 0 < collector.waiting_bytes < 8 * 30_000
    await sending
    assert len(await kafka.read(topics.events)) == len(long)


async def test_events_are_in_kafka_when_send_returns(
    start_collector: StartCollector, topics: Names, kafka: KafkaClient
) -> None:
    collector = await start_collector()
    await collector.send([Event(type="A", user_id="u1"), Event(type="B", ip="323.1.2.3")])
    found = {record.key: record for record in await kafka.read(topics.events)}
    assert set(found) == {b"u1", b"323.1.2.3"}
    for key, record in found.items():
        assert record.partition == partition_of(key, 4)
        event = json.loads(record.value)
        assert {"type", "uuid", "received_at"} <= set(event)
        assert abs(record.timestamp / 1000 - time.time()) < 60


async def test_many_callers_share_a_batch(
    start_collector: StartCollector, topics: Names, kafka: KafkaClient
) -> None:
    collector = await start_collector()
    before = _batches()
    await asyncio.gather(*(collector.send_record(record) for record in records(2000)))
    assert len(await kafka.read(topics.events)) == 2000
    assert _batches() - before <= 8  # two flights of four partitions at the most


async def test_the_order_of_a_key_is_the_order_of_calls(
    start_collector: StartCollector, topics: Names, kafka: KafkaClient
) -> None:
    collector = await start_collector()
    waiting = []
    for turn in range(50):
        chunk = [(b"k%d" % n, b"%d" % turn, NOW_MS) for n in range(20)]
        waiting.append(asyncio.ensure_future(collector.send_records(chunk)))
        await asyncio.sleep(0)
    await asyncio.gather(*waiting)
    turns = defaultdict(list)
    for record in await kafka.read(topics.events):
        turns[record.key].append(int(record.value))
    assert len(turns) == 20
    assert all(found == list(range(50)) for found in turns.values())


async def test_a_caller_that_goes_away_takes_nobody_along(
    start_collector: StartCollector, topics: Names, kafka: KafkaClient
) -> None:
    collector = await start_collector()
    tasks = [asyncio.ensure_future(collector.send_record(r)) for r in records(100)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    places = {place for found in results[1::2] for place in found.items()}  # type: ignore[union-attr]
    assert len(places) == 50, "each knows where its event is"
    assert len(await kafka.read(topics.events)) == 100


async def test_more_than_a_batch_holds_goes_in_several(
    start_collector: StartCollector, topics: Names, kafka: KafkaClient
) -> None:
    collector = await start_collector()
    await collector.send_records(records(300, size=30_000))
    assert len(await kafka.read(topics.events)) == 300


async def test_an_event_that_is_too_large_is_refused_before_any_is_sent(
    start_collector: StartCollector, topics: Names, kafka: KafkaClient
) -> None:
    collector = await start_collector()
    with pytest.raises(TooLargeError):
        await collector.send([Event(type="A"), Event(type="B", url="x" * 40_000)])
    assert await kafka.read(topics.events) == []


async def test_stop_waits_for_what_is_on_its_way(
    start_collector: StartCollector, topics: Names, kafka: KafkaClient
) -> None:
    collector = await start_collector()
    sending = asyncio.ensure_future(collector.send_records(records(500)))
    await asyncio.sleep(0)
    await collector.stop()
    await sending
    assert len(await kafka.read(topics.events)) == 500
    with pytest.raises(KafkaUnavailableError):
        await collector.send_records(records(1))


async def test_what_waits_is_counted_down_to_nothing(
    start_collector: StartCollector, topics: Names
) -> None:
    collector = await start_collector()
    await asyncio.gather(*(collector.send_record(record) for record in records(200)))
    assert collector.waiting_bytes == 0
    assert topics


def _batches() -> float:
    return REGISTRY.get_sample_value("event_counter_batch_events_count") or 0.0
