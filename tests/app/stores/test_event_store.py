"""What is stored of a batch: each record once, every field, into the partition of its month."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.errors import HoleError
from app.stores.event_store import EventStore
from tests.support.batches import RECORD_MS, TOPIC, batch_of, events
from tests.support.database import Database

OpenStore = Callable[..., EventStore]
NASTY = json.loads((Path(__file__).parents[2] / "data" / "storable_events.json").read_text())


async def test_a_batch_is_stored_with_its_offset(database: Database, open_store: OpenStore) -> None:
    batch = batch_of(events(range(3)), first=10, partition=2)
    assert await open_store().store(TOPIC, 2, batch) == 3
    assert await database.uuids() == [0, 1, 2]
    assert await database.offsets() == {2: (13, 3)}


async def test_every_field_has_its_column(database: Database, open_store: OpenStore) -> None:
    event = {
        "uuid": "u", "type": "t", "ip": "i", "url": "/", "user_id": "us", "session_id": "se",
        "ad_id": "ad", "app_name": "ap", "product_id": "pr", "category": "ca", "value": 1.5,
        "timestamp": "2015-05-17T10:05:03Z", "received_at": "2015-05-17T10:05:04.000001Z",
        "properties": {"a": [1, None, "ü"]}, "message_id": "m", "referrer": "https://e.net/",
        "user_agent": "Mozilla/5.0",
    }  # fmt: skip
    await open_store().store(TOPIC, 0, batch_of([json.dumps(event).encode()], first=7))
    [row] = await database.fetch("select * from event")
    assert dict(row) | {"properties": json.loads(row["properties"])} == {
        **{name: event[name] for name in event.keys() - {"timestamp"}},
        "datetime": datetime(2015, 5, 17, 10, 5, 3, tzinfo=UTC),
        "received_at": datetime(2015, 5, 17, 10, 5, 4, 1, tzinfo=UTC),
        "kafka_time": datetime.fromtimestamp(RECORD_MS / 1000, UTC),
        "duplicate": None,
        "kafka_partition": 0,
        "kafka_offset": 7,
    }


async def test_what_an_event_lacks_comes_from_its_record(
    database: Database, open_store: OpenStore
) -> None:
    await open_store().store(TOPIC, 1, batch_of([b'{"type":"t"}'], first=5, partition=1))
    [row] = await database.fetch("select uuid, datetime, received_at from event")
    moment = datetime.fromtimestamp(RECORD_MS / 1000, UTC)
    assert tuple(row) == ("events-1-5", moment, moment)


async def test_a_replayed_batch_changes_nothing(database: Database, open_store: OpenStore) -> None:
    store, batch = open_store(), batch_of(events(range(5)))
    assert [await store.store(TOPIC, 0, batch) for _ in range(3)] == [5, 0, 0]
    assert await database.offsets() == {0: (5, 5)}
    assert await database.uuids() == [0, 1, 2, 3, 4]


async def test_of_a_batch_that_overlaps_only_the_new_part_is_stored(
    database: Database, open_store: OpenStore
) -> None:
    store = open_store()
    await store.store(TOPIC, 0, batch_of(events(range(5))))
    assert await store.store(TOPIC, 0, batch_of(events(range(2, 9)), first=2)) == 4
    assert await database.uuids() == list(range(9))
    assert await database.offsets() == {0: (9, 9)}


async def test_a_hole_stops_and_stores_nothing(database: Database, open_store: OpenStore) -> None:
    store = open_store()
    await store.store(TOPIC, 0, batch_of(events(range(5))))
    with pytest.raises(HoleError, match="up to offset 5, and the next batch begins at 6"):
        await store.store(TOPIC, 0, batch_of(events([6]), first=6, gate=2))
    with pytest.raises(HoleError):  # another worker does not know what lies between, either
        await open_store().store(TOPIC, 0, batch_of(events([6]), first=6))
    assert await database.offsets() == {0: (5, 5)}


async def test_what_the_transport_skips_within_a_generation_is_no_hole(
    database: Database, open_store: OpenStore
) -> None:
    store = open_store()
    await store.store(TOPIC, 0, batch_of(events(range(5))))
    await store.store(TOPIC, 0, batch_of(events([5]), first=8))  # 5-7: an aborted transaction
    assert await database.uuids() == list(range(6))


async def test_offsets_that_kafka_left_out_are_no_hole(
    database: Database, open_store: OpenStore
) -> None:
    store = open_store()
    await store.store(TOPIC, 0, batch_of(events(range(5)), after=8))
    await store.store(
        TOPIC, 0, batch_of(events([5, 6]), offsets=[11, 14], before=8, after=20, gate=2)
    )
    assert await database.uuids() == list(range(7))
    assert await database.offsets() == {0: (20, 7)}


async def test_a_store_may_begin_anywhere(database: Database, open_store: OpenStore) -> None:
    await open_store().store(TOPIC, 0, batch_of(events([1]), first=500))
    assert await database.offsets() == {0: (501, 1)}


async def test_rejected_records_are_passed_by(database: Database, open_store: OpenStore) -> None:
    values = [b"", b"no json", *events([1]), b"[]", b'{"type":"t","timestamp":"2099-01-01"}']
    assert await open_store().store(TOPIC, 0, batch_of(values)) == 1
    assert await open_store().store(TOPIC, 0, batch_of([b"{}"], first=5)) == 0
    assert await database.offsets() == {0: (6, 1)}


async def test_partitions_go_their_own_ways(database: Database, open_store: OpenStore) -> None:
    store = open_store()
    for partition in range(4):
        batch = batch_of(events([partition]), first=100 * partition, partition=partition)
        await store.store(TOPIC, partition, batch)
    assert await database.offsets() == {p: (100 * p + 1, 1) for p in range(4)}


@pytest.mark.parametrize("case", NASTY, ids=[case["name"] for case in NASTY])
async def test_what_is_decoded_is_stored(
    database: Database, open_store: OpenStore, case: dict[str, Any]
) -> None:
    text = case["event"].replace("LONG", case.get("repeat", "") * case.get("times", 0))
    await open_store().store(TOPIC, 0, batch_of([text.encode()]))
    [row] = await database.fetch("select * from event")
    event = json.loads(text)
    for field, column in (("type", "type"), ("url", "url"), ("user_id", "user_id")):
        assert row[column] == event.get(field)
    # jsonb writes 1e300 as an integer of 301 digits
    stored = json.loads(row["properties"] or "null", parse_int=float)
    assert stored == json.loads(text, parse_int=float).get("properties")
    assert row["value"] == json.loads(text, parse_int=float).get("value")


async def test_each_month_gets_its_partition(database: Database, open_store: OpenStore) -> None:
    times = ["1970-01-01T00:00:00Z", "2015-05-17T10:00:00Z", "2015-05-31T23:59:59.999999Z"]
    times += ["2015-06-01T00:00:00Z", "2026-09-21T14:13:20Z"]
    values = [event for n, time in enumerate(times) for event in events([n], timestamp=time)]
    assert await open_store().store(TOPIC, 0, batch_of(values)) == 5
    rows = await database.fetch("select tableoid::regclass::text, count(*) from event group by 1")
    assert dict(rows) == {
        "event_1970_01": 1,
        "event_2015_05": 2,
        "event_2015_06": 1,
        "event_2026_09": 1,
    }


async def test_stores_that_need_the_same_partitions_at_once_all_succeed(
    database: Database, open_store: OpenStore
) -> None:
    months = [f"20{year}-{month:02}-01T00:00:00Z" for year in (15, 16) for month in range(1, 13)]

    async def store_one(partition: int) -> int:
        values = [e for n, time in enumerate(months) for e in events([n], timestamp=time)]
        batch = batch_of(values, partition=partition)
        return await open_store().store(TOPIC, partition, batch)

    assert await asyncio.gather(*map(store_one, range(6))) == [24] * 6
    assert len(await database.uuids()) == 24 * 6


async def test_a_long_query_does_not_hold_up_a_new_partition(
    database: Database, open_store: OpenStore
) -> None:
    store = open_store()
    await store.store(TOPIC, 0, batch_of(events([0])))
    reader = await asyncpg.connect(database.dsn)
    async with reader.transaction():
        await reader.fetch("select * from event")  # its lock stays
        old = batch_of(events([1], timestamp="2015-01-01T00:00:00Z"), first=1)
        async with asyncio.timeout(5):
            assert await store.store(TOPIC, 0, old) == 1
    await reader.close()


async def test_a_late_event_of_a_month_that_was_detached_is_stored(
    database: Database, open_store: OpenStore
) -> None:
    store = open_store()
    await store.store(TOPIC, 0, batch_of(events(range(5))))
    find = "select inhrelid::regclass::text from pg_inherits where inhparent = 'event'::regclass"
    for number in range(2):  # and once more
        [(month,)] = await database.fetch(find)
        await database.fetch(f"alter table event detach partition {month}")
        first = 5 + 3 * number
        assert await store.store(TOPIC, 0, batch_of(events(range(first, first + 3)), first=first))
        assert await database.uuids() == list(range(first, first + 3))
    assert await database.offsets() == {0: (11, 11)}


async def test_a_view_with_the_name_of_a_month_is_no_partition(
    database: Database, open_store: OpenStore
) -> None:
    store = open_store()
    await store.store(TOPIC, 0, batch_of(events([0]), timestamp_ms=RECORD_MS - 40 * 86_400_000))
    await database.fetch("create view event_2026_09 as select 1 as one")
    assert await store.store(TOPIC, 0, batch_of(events([1]), first=1)) == 1
