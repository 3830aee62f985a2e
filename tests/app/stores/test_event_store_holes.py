"""What the store never got it reads from the Kafka log, before it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete
from prometheus_client import REGISTRY

from app.events.filler import filler
from app.events.records import Batch
from app.kafka.clients import KafkaClients
from app.kafka.log import KafkaLog
from app.kafka.topics import ensure_topics
from app.names import Names
from app.settings import Settings
from app.stack.kafka import Kafka
from app.stores.event_store import EventStore
from tests.support.batches import batch_of, events
from tests.support.database import Database
from tests.support.kafka_client import KafkaClient
from tests.support.waiting import wait_until

OpenStore = Callable[..., EventStore]


@pytest.fixture
def topic(topics: Names) -> str:
    """Return the topic events of this test."""
    return topics.events


@pytest.fixture
async def kafka_log(kafka: KafkaClient) -> KafkaLog:
    """Return the log that the records of `kafka` are in."""
    return KafkaLog(KafkaClients(kafka.address))


def tail(first: int, gate: int = 1) -> Batch:
    """Return a batch of one event, its number the offset, as it is in the log."""
    return batch_of(events([first]), first=first, gate=gate)


async def test_records_that_postgres_forgot_are_stored_from_the_log(
    kafka: KafkaClient, topic: str, kafka_log: KafkaLog, database: Database, open_store: OpenStore
) -> None:
    await kafka.send(topic, events(range(100)), 0)
    store = open_store(kafka_log=kafka_log)
    await store.store(topic, 0, batch_of(events(range(50))))
    await database.fetch("delete from event where kafka_offset >= 20")  # a backup is restored
    await database.fetch("update sink_offsets set next_offset = 20, stored = 20")
    assert await store.store(topic, 0, tail(50, gate=2)) == 31
    assert await database.uuids() == list(range(51))
    assert await database.offsets() == {0: (51, 51)}


async def test_a_new_database_gets_what_the_log_still_has(
    kafka: KafkaClient, topic: str, kafka_log: KafkaLog, database: Database, open_store: OpenStore
) -> None:
    await kafka.send(topic, events(range(30_001)), 0)
    assert await open_store(kafka_log=kafka_log).store(topic, 0, tail(30_000)) == 30_001
    assert await database.uuids() == list(range(30_001))


async def test_the_markers_of_transactions_are_no_hole(
    kafka: KafkaClient, topic: str, kafka_log: KafkaLog, database: Database, open_store: OpenStore
) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka.address, transactional_id=topic)
    await producer.start()
    for number in range(3):  # offsets 0 and 1, aborted 2 and 3, 4 and 5; each with its marker
        await producer.begin_transaction()
        await (await producer.send(topic, events([number])[0], partition=0))
        await (producer.abort_transaction() if number == 1 else producer.commit_transaction())
    await producer.stop()
    await open_store(kafka_log=kafka_log).store(topic, 0, tail(0))
    assert await open_store(kafka_log=kafka_log).store(topic, 0, tail(6)) == 2
    assert await database.uuids() == [0, 2, 6]


async def test_records_that_kafka_deleted_before_are_counted_as_lost(
    kafka: KafkaClient, topic: str, kafka_log: KafkaLog, database: Database, open_store: OpenStore
) -> None:
    await kafka.send(topic, events(range(100)), 0)
    store = open_store(kafka_log=kafka_log)
    await store.store(topic, 0, batch_of(events(range(10))))
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.address)
    await admin.start()
    await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(40)})
    await admin.close()
    before = lost()
    assert await store.store(topic, 0, tail(99, gate=2)) == 60
    assert lost() - before == 30
    assert (await database.fetch("select lost from sink_offsets"))[0][0] == 30
    assert await database.uuids() == [*range(10), *range(40, 100)]


def lost() -> float:
    """Return how many offsets were lost so far."""
    return REGISTRY.get_sample_value("event_counter_events_lost_total", {"role": "store"}) or 0


async def test_records_of_a_new_kafka_do_not_pass_for_stored(
    kafka: KafkaClient, topic: str, database: Database, open_store: OpenStore
) -> None:
    class OldLog(KafkaLog):
        async def cluster(self) -> str:
            return "the one before"

    await open_store(kafka_log=OldLog(KafkaClients(kafka.address))).store(
        topic, 0, batch_of(events(range(50)))
    )
    await kafka.send(topic, events(range(50, 60)), 0)
    store = open_store(kafka_log=KafkaLog(KafkaClients(kafka.address)))
    assert await store.store(topic, 0, batch_of(events(range(50, 60)))) == 10
    assert await database.uuids() == list(range(60))
    assert await database.offsets() == {0: (10, 60)}


async def test_a_kafka_that_is_away_makes_a_hole_wait(
    tmp_path: Path, database: Database, open_store: OpenStore
) -> None:
    part = Kafka(tmp_path / "kafka", tmp_path / "kafka.log")
    address = await part.start()
    await ensure_topics(Settings(kafka=address))
    async with KafkaClient(address) as client:
        await client.send("events", events(range(10)), 0)
    store = open_store(kafka_log=KafkaLog(KafkaClients(address)))
    await store.store("events", 0, tail(0))
    await part.stop()
    storing = asyncio.create_task(store.store("events", 0, tail(9, gate=2)))
    await wait_until(
        lambda: REGISTRY.get_sample_value("event_counter_sink_away", {"sink": "event"}), 1
    )
    await part.start()
    assert await asyncio.wait_for(storing, 30) == 9
    assert await database.uuids() == list(range(10))
    await part.stop()


async def test_records_deleted_while_the_store_reads_on_are_counted_as_lost(
    kafka: KafkaClient, topic: str, kafka_log: KafkaLog, database: Database, open_store: OpenStore
) -> None:
    await kafka.send(topic, events(range(100)), 0)
    store = open_store(kafka_log=kafka_log)
    await store.store(topic, 0, batch_of(events(range(10))))
    await kafka.delete_before(topic, {0: 40})
    before = lost()
    store.tell_lost(topic, 0, 30)  # the transport saw it first
    assert lost() - before == 30
    batch = batch_of(events(range(40, 100)), first=40)  # of the same generation
    batch.lost = 30
    assert await store.store(topic, 0, batch) == 60
    assert lost() - before == 30
    assert (await database.fetch("select lost from sink_offsets"))[0][0] == 30


async def test_fillers_are_no_rows_and_those_of_acknowledged_records_are_counted_as_lost(
    database: Database, open_store: OpenStore
) -> None:
    store, before = open_store(), lost()
    await store.store("events", 0, batch_of(events(range(5))))
    batch = batch_of([*[filler(9)] * 7, *events([12])], first=3)  # 3 and 4 were stored before
    assert await store.store("events", 0, batch) == 1
    assert lost() - before == 4
    assert await database.offsets() == {0: (11, 6)}
    assert (await database.fetch("select lost from sink_offsets"))[0][0] == 4
    assert await store.store("events", 0, batch) == 0
    assert lost() - before == 4
