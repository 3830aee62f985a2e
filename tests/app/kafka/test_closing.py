"""A client that did not start leaves nothing open: without a Kafka, or cancelled meanwhile."""

from __future__ import annotations

import asyncio
import gc
import time
import warnings
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from app.counting.registry import Begin
from app.errors import KafkaUnavailableError
from app.kafka.clients import KafkaClients, started
from app.kafka.counter_log import CounterLog
from app.kafka.link import KafkaLink
from app.kafka.padding import pad
from app.kafka.session import KafkaSession
from app.kafka.topics import ensure_topics
from app.names import Names
from app.settings import Settings
from app.stack.ports import free_port
from app.transport.leaving import leave
from tests.support.kafka_client import KafkaClient
from tests.support.kafka_faults import MortalKafka
from tests.support.waiting import wait_until

Close = Callable[[], Any]
STARTS = 100


@pytest.fixture(scope="module")
def kafka_part(broker: MortalKafka) -> MortalKafka:
    """Return a Kafka of this module's own: one with the topics of a run takes long to come back."""
    return broker


async def test_a_producer_that_did_not_start_is_closed() -> None:
    decisions = CounterLog(Settings(kafka=f"127.0.0.1:{free_port()}"))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with pytest.raises(KafkaUnavailableError, match="no answer about counter-decisions"):
            await decisions.append([Begin(1, 0, 0)])
        with pytest.raises(KafkaUnavailableError):
            await decisions.read()
        gc.collect()
    assert [one for one in said if "Unclosed" in str(one.message)] == []
    await decisions.close()


async def test_a_pad_that_did_not_start_leaves_no_producer() -> None:
    kafka = KafkaClients(f"127.0.0.1:{free_port()}")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with pytest.raises(KafkaError):
            await pad(kafka, "events", 0, 1, (None, b"x"))
        gc.collect()
    assert [one for one in said if "Unclosed" in str(one.message)] == []


async def _session(settings: Settings) -> Close:
    events = Names(settings.namespace).events
    session = await KafkaSession.open(KafkaClients.of(settings), events, 5)
    return session.close


async def _producer(settings: Settings) -> Close:
    producer = await started(KafkaClients.of(settings).producer(acks="all"))
    return partial(producer.stop)


async def _consumer(settings: Settings) -> Close:
    consumer = await started(KafkaClients.of(settings).consumer(group_id="cancelled"))
    return partial(consumer.stop)


async def _admin(settings: Settings) -> Close:
    admin = KafkaClients.of(settings).admin()
    try:
        await admin.start()
    except BaseException:
        await admin.close()
        raise
    return partial(admin.close)


@pytest.mark.parametrize("start", [_session, _producer, _consumer, _admin])
async def test_a_start_that_is_cancelled_at_any_moment_leaves_no_connection(
    settings: Settings, start: Callable[[Settings], Awaitable[Close]]
) -> None:
    await ensure_topics(settings)
    began = time.monotonic()
    close = await start(settings)
    whole_s = time.monotonic() - began
    await close()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for number in range(STARTS):
            starting = asyncio.ensure_future(start(settings))
            await asyncio.sleep(whole_s * number / STARTS)
            starting.cancel()
            with suppress(asyncio.CancelledError):
                await (await starting)()
        gc.collect()
    assert [one for one in said if "Unclosed" in str(one.message)] == []


@pytest.mark.parametrize(
    "make",
    [KafkaClients.consumer, partial(KafkaClients.consumer, group_id="g"), KafkaClients.producer],
)
async def test_a_stop_right_after_the_start_is_no_cancellation(
    settings: Settings, make: Callable[[KafkaClients], Any]
) -> None:
    """It ended the task that connects the collector to Kafka, which answered 503 from then on."""
    client = make(KafkaClients.of(settings))
    await client.start()
    await client.stop()


def _stock(kafka: KafkaClients, **options: Any) -> AIOKafkaConsumer:
    """Return a consumer as Faust makes it."""
    return AIOKafkaConsumer(bootstrap_servers=kafka.servers, **options)


@pytest.mark.parametrize(
    ("make", "stop"),
    [(KafkaClients.consumer, lambda one: one.stop()), (_stock, leave)],
    ids=["ours", "of the group"],
)
async def test_a_stop_while_kafka_is_away_is_no_cancellation(
    settings: Settings,
    kafka: KafkaClient,
    kafka_part: MortalKafka,
    caplog: pytest.LogCaptureFixture,
    make: Callable[..., AIOKafkaConsumer],
    stop: Callable[[AIOKafkaConsumer], Awaitable[None]],
) -> None:
    """It ended the recovery of a count worker, which stood still from then on."""
    await ensure_topics(settings)
    events = TopicPartition(Names(settings.namespace).events, 0)
    consumer = await started(make(KafkaClients.of(settings), retry_backoff_ms=2000))
    consumer.assign([events])
    consumer.seek(events, 0)
    await kafka.send(events.topic, [b"{}"], 0)
    assert await consumer.getmany(events, timeout_ms=20_000)
    kafka_part.kill()
    try:
        failed = "Failed fetch messages"
        await wait_until(lambda: caplog.text, lambda said: failed in said, every_s=0.01)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            await stop(consumer)
            del consumer
            gc.collect()
        assert [one for one in said if "Unclosed" in str(one.message)] == []
    finally:
        await kafka_part.start()


async def test_a_link_that_ends_by_itself_says_so(settings: Settings) -> None:
    await ensure_topics(settings)

    async def mend(_: object) -> None:
        raise ZeroDivisionError

    link = KafkaLink(KafkaClients.of(settings), Names(settings.namespace).events, 5, mend)
    link.start()
    with pytest.raises(RuntimeError, match="nothing connects to Kafka any more"):
        await link.keeper.ended()
    link = KafkaLink(KafkaClients.of(settings), Names(settings.namespace).events, 5)
    link.start()
    ended = asyncio.ensure_future(link.keeper.ended())
    await link.keeper.stop()
    await ended
