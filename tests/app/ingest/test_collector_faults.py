"""The collector on a Kafka that is away, frozen, killed, or without its topic."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from functools import partial

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import InvalidTimestampError

from app.errors import KafkaUnavailableError, OverloadedError
from app.events.packing import PackedRecord
from app.ingest.collector import Collector
from app.names import Names
from app.settings import Settings
from tests.support.collector_topics import collector_topics
from tests.support.kafka_client import KafkaClient
from tests.support.kafka_faults import MortalKafka
from tests.support.waiting import SOON_S, wait_until

NOW_MS = time.time_ns() // 1_000_000  # Kafka deletes what is older than its retention
TIMEOUT_S = 3.0  # what is refused takes so long; a busy machine answers sooner


@pytest.fixture
async def own(broker: MortalKafka) -> Settings:
    """Return settings of a collector with topics of its own and little patience."""
    settings = Settings(
        kafka=broker.address,
        namespace=f"t{uuid.uuid4().hex[:10]}.",
        send_timeout_s=TIMEOUT_S,
        waiting_max_bytes=1_048_576,
    )
    await collector_topics(settings)
    return settings


@pytest.fixture
async def collector(own: Settings) -> AsyncIterator[Collector]:
    """Yield a connected collector."""
    running = Collector(own)
    await running.start()
    await ready(running)
    yield running
    await running.stop()


async def ready(collector: Collector) -> None:
    await wait_until(collector.check_ready, bool, passing=(KafkaUnavailableError,), deadline_s=30)


def record(number: int, size: int = 0) -> PackedRecord:
    return b"%d" % number, b"%d" % number + b" " * size, NOW_MS


async def stored(kafka: str, topic: str) -> list[int]:
    async with KafkaClient(kafka) as client:
        return sorted(int(value) for value in await client.values(topic))


async def refused(collector: Collector, number: int) -> float:
    """Return the seconds until an event is refused."""
    begun = time.monotonic()
    with pytest.raises(KafkaUnavailableError):
        await collector.send_record(record(number))
    return time.monotonic() - begun


async def refused_at_once(collector: Collector, number: int) -> None:
    """Fail unless an event is refused without waiting for anything."""
    sending = asyncio.ensure_future(collector.send_record(record(number)))
    await asyncio.sleep(0)
    assert sending.done()
    with pytest.raises(KafkaUnavailableError):
        await sending


async def test_a_frozen_kafka_is_an_error_in_time_and_comes_back_by_itself(
    collector: Collector, own: Settings, broker: MortalKafka
) -> None:
    await collector.send_record(record(1))
    with broker.frozen():
        waits = await asyncio.gather(*(refused(collector, 100 + n) for n in range(50)))
        assert max(waits) < SOON_S
        await refused_at_once(collector, 200)  # it is known by now
    await ready(collector)
    await collector.send_record(record(2))
    found = await stored(own.kafka, Names(own.namespace).events)
    assert {1, 2} <= set(found)
    assert len(found) == len(set(found))  # what was on the wire came once
    assert 200 not in found


def problem_of(collector: Collector) -> str:
    try:
        collector.check_ready()
    except KafkaUnavailableError as exc:
        return str(exc)
    return ""


async def test_a_kafka_that_is_away_is_noticed_while_nobody_sends(
    collector: Collector, own: Settings, broker: MortalKafka
) -> None:
    with broker.frozen():
        await wait_until(lambda: problem_of(collector), "it does not answer")
    await ready(collector)
    broker.kill()
    await wait_until(lambda: problem_of(collector), bool)
    await broker.start()
    await ready(collector)
    await collector.send_record(record(1))
    assert await stored(own.kafka, Names(own.namespace).events) == [1]


async def test_what_a_dying_kafka_acknowledged_is_there_and_nothing_twice(
    collector: Collector, own: Settings, broker: MortalKafka
) -> None:
    acknowledged: list[int] = []
    unsure: list[int] = []
    done = asyncio.Event()

    async def client(first: int) -> None:
        number = first
        while not done.is_set():
            number += 1
            try:
                await collector.send_record(record(number))
                acknowledged.append(number)
            except KafkaUnavailableError:
                unsure.append(number)
                await asyncio.sleep(0.05)

    clients = [asyncio.ensure_future(client(1_000_000 * n)) for n in range(20)]
    for _ in range(2):
        before = len(acknowledged)
        await wait_until(lambda: len(acknowledged) > before + 500, bool, deadline_s=30)  # noqa: B023
        broker.kill()
        await wait_until(lambda: len(unsure) > 0, bool)
        await broker.start()
    before = len(acknowledged)
    await wait_until(lambda: len(acknowledged) > before + 500, bool, deadline_s=30)
    done.set()
    await asyncio.gather(*clients)
    found = await stored(own.kafka, Names(own.namespace).events)
    assert len(found) == len(set(found))
    assert set(acknowledged) <= set(found) <= set(acknowledged) | set(unsure)


async def test_an_outage_shorter_than_the_timeout_is_not_noticed(
    own: Settings, broker: MortalKafka
) -> None:
    collector = Collector(own.model_copy(update={"send_timeout_s": 60.0}))
    await collector.start()
    await ready(collector)
    with broker.frozen():
        sending = asyncio.ensure_future(collector.send_record(record(1)))
        await asyncio.sleep(0.5)
        assert not sending.done()
    await sending
    await collector.stop()
    assert await stored(own.kafka, Names(own.namespace).events) == [1]


async def test_too_much_that_waits_is_refused_at_once(
    collector: Collector, broker: MortalKafka
) -> None:
    with broker.frozen():
        sending = [
            asyncio.ensure_future(collector.send_record(record(n, size=30_000))) for n in range(40)
        ]
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError):
            await collector.send_record(record(99))
        results = await asyncio.gather(*sending, return_exceptions=True)
    refused_at_once = [r for r in results if isinstance(r, OverloadedError)]
    assert 1 <= len(refused_at_once) < 10
    assert collector.waiting_bytes == 0


async def test_a_collector_may_start_before_its_kafka(own: Settings, broker: MortalKafka) -> None:
    broker.kill()
    collector = Collector(own)
    await collector.start()
    await refused_at_once(collector, 1)
    await broker.start()
    await ready(collector)
    await collector.send_record(record(2))
    await collector.stop()
    assert await stored(own.kafka, Names(own.namespace).events) == [2]


async def test_a_topic_that_is_missing_is_waited_for(broker: MortalKafka) -> None:
    settings = Settings(
        kafka=broker.address, namespace=f"t{uuid.uuid4().hex[:10]}.", send_timeout_s=TIMEOUT_S
    )
    collector = Collector(settings)
    await collector.start()
    await wait_until(lambda: "no topic" in problem_of(collector), bool)
    await refused_at_once(collector, 1)
    await collector_topics(settings)
    await ready(collector)
    await collector.send_record(record(1))
    await collector.stop()


async def test_stopping_does_not_wait_for_a_kafka_that_is_away(
    own: Settings, broker: MortalKafka
) -> None:
    collector = Collector(own)
    await collector.start()
    await ready(collector)
    with broker.frozen():
        sending = asyncio.ensure_future(collector.send_record(record(1)))
        await asyncio.sleep(0)
        begun = time.monotonic()
        await collector.stop()
        assert time.monotonic() - begun < SOON_S
        with pytest.raises(KafkaUnavailableError):
            await sending


async def test_a_clock_that_is_ahead_is_named(collector: Collector) -> None:
    """Kafka refuses records that are over an hour younger than its own clock."""
    later = b"1", b"1", NOW_MS + 2 * 86_400_000
    with pytest.raises(KafkaUnavailableError, match=r"the clock of this machine says .* set it"):
        await collector.send_records([later])
    await ready(collector)
    await collector.send_records([record(2)])


async def test_a_clock_that_is_behind_is_named(
    own: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """Kafka has a record from two hours later; else it would take none from over one."""
    events = Names(own.namespace).events
    admin = AIOKafkaAdminClient(bootstrap_servers=own.kafka)
    await admin.start()
    taken = ConfigResource(
        ConfigResourceType.TOPIC, events, {"message.timestamp.after.max.ms": str(10**10)}
    )
    await admin.alter_configs([taken])
    await admin.close()
    async with KafkaClient(own.kafka) as kafka:
        later = partial(kafka.send, events, [b"{}"], timestamp_ms=NOW_MS + 2 * 3_600_000)
        await wait_until(later, bool, passing=(InvalidTimestampError,))  # the broker learns of it
    running = Collector(own)
    await running.start()
    await wait_until(lambda: "events from over an hour later: set it" in caplog.text, expected=True)
    await ready(running)
    await running.stop()
