"""Which rows of event the store calls duplicates, whoever stores them and whatever was lost."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from app.counting.duplicates import HOUR_MS, LEVEL_ROWS, MARGIN_MS
from app.errors import SettingsError
from app.stores import stored_messages
from app.stores.event_store import EventStore
from app.stores.sql import load_queries
from app.stores.stored_messages import StoredMessages
from tests.support.batches import RECORD_MS, TOPIC, batch_of
from tests.support.database import Database

OpenStore = Callable[..., EventStore]
QUERY = "select kafka_offset from event where duplicate order by kafka_partition, kafka_offset"


def sent(*ids: str) -> list[bytes]:
    return [json.dumps({"type": "A", "uuid": name, "message_id": name}).encode() for name in ids]


def messages(hours: int = 24, *, by_uuid: bool = False) -> StoredMessages:
    return StoredMessages(hours, by_uuid=by_uuid)


async def duplicates(database: Database) -> list[int]:
    return [row[0] for row in await database.fetch(QUERY)]


async def test_what_was_stored_before_is_a_duplicate(
    database: Database, open_store: OpenStore
) -> None:
    store = open_store(messages=messages())
    await store.store(TOPIC, 0, batch_of(sent("a", "b", "a")))
    await store.store(TOPIC, 0, batch_of(sent("c", "b"), first=3))
    await store.store(TOPIC, 1, batch_of(sent("a"), partition=1))
    assert await duplicates(database) == [2, 4]
    other = open_store(messages=messages())
    await other.store(TOPIC, 0, batch_of(sent("c", "d"), first=5))
    assert await duplicates(database) == [2, 4, 5]
    await store.store(TOPIC, 0, batch_of(sent("d"), first=7))  # it does not know of the other's
    assert await duplicates(database) == [2, 4, 5, 7]
    rows = await database.fetch("select kafka_offset from human_event where kafka_partition = 0")
    assert sorted(row[0] for row in rows) == [0, 1, 3, 6]


async def test_a_batch_that_comes_again_in_part_changes_no_verdict(
    database: Database, open_store: OpenStore
) -> None:
    store = open_store(messages=messages())
    await store.store(TOPIC, 0, batch_of(sent("a", "b", "b")))
    for worker in (store, open_store(messages=messages())):
        await worker.store(TOPIC, 0, batch_of(sent("a", "b", "b")))
        await worker.store(TOPIC, 0, batch_of(sent("b", "b", "c", "a"), first=1))
    assert await duplicates(database) == [2, 4]


async def test_a_transaction_that_failed_is_remembered_by_nobody(
    database: Database, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(messages=messages())
    await store.store(TOPIC, 0, batch_of(sent("a")))
    queries = load_queries()
    moving = queries["event_offset.move"]
    failing = (
        "select $1::text, $2::int, $3::text, $4::bigint, 1 / ($5::int - $5::int),"
        " $6::bigint, $7::bigint"
    )
    monkeypatch.setitem(queries, "event_offset.move", failing)
    with pytest.raises(Exception, match="division by zero"):
        await store.store_once(TOPIC, 0, batch_of(sent("b", "a"), first=1))
    monkeypatch.setitem(queries, "event_offset.move", moving)
    await store.store(TOPIC, 0, batch_of(sent("b", "a"), first=1))
    assert await duplicates(database) == [2]
    await store.store(TOPIC, 0, batch_of(sent("b"), first=3))
    assert await duplicates(database) == [2, 3]


async def test_a_day_later_it_is_another_event_and_the_memory_goes(
    database: Database, open_store: OpenStore
) -> None:
    store = open_store(messages=messages())
    await store.store(TOPIC, 0, batch_of(sent("a", "b")))
    later = RECORD_MS + 24 * HOUR_MS
    await store.store(TOPIC, 0, batch_of(sent("a"), first=2, timestamp_ms=later - 1))
    await store.store(TOPIC, 0, batch_of(sent("b"), first=3, timestamp_ms=later))
    assert await duplicates(database) == [2]
    assert await kept(database) == [0, 2, 3]
    much_later = later + MARGIN_MS + 1
    await store.store(TOPIC, 0, batch_of(sent("a"), first=4, timestamp_ms=much_later))
    assert await duplicates(database) == [2, 4]
    assert await kept(database) == [2, 3, 4]


async def kept(database: Database) -> list[int]:
    rows = await database.fetch("select first_offset from event_messages order by 1")
    return [row[0] for row in rows]


async def test_a_uuid_is_a_message_id_where_it_shall_be(
    database: Database, open_store: OpenStore
) -> None:
    bodies = [
        b'{"type":"A","uuid":"u"}',
        b'{"type":"A","uuid":"u"}',
        b'{"type":"A"}',
        b'{"type":"A"}',
    ]
    await open_store(messages=messages(by_uuid=True)).store(TOPIC, 0, batch_of(bodies))
    assert await duplicates(database) == [1]
    rows = await database.fetch("select message_id from event order by kafka_offset")
    assert [row[0] for row in rows] == ["u", "u", None, None]


@pytest.mark.parametrize(("hours", "by_uuid"), [(0, False), (23, False), (24, True)])
async def test_another_rule_than_before_is_refused(
    database: Database, open_store: OpenStore, hours: int, by_uuid: bool
) -> None:
    await open_store(messages=messages()).store(TOPIC, 0, batch_of(sent("a")))
    other = open_store(messages=messages(hours, by_uuid=by_uuid))
    with pytest.raises(SettingsError, match="EVENT_COUNTER_DEDUPE_HOURS=24"):
        await other.store(TOPIC, 0, batch_of(sent("a"), first=1))
    assert await database.offsets() == {0: (1, 1)}


async def test_without_hours_nothing_is_a_duplicate(
    database: Database, open_store: OpenStore
) -> None:
    await open_store(messages=messages(0)).store(TOPIC, 0, batch_of(sent("a", "a")))
    assert await duplicates(database) == []
    assert await kept(database) == []


async def test_few_ids_at_a_time_do_not_become_many_rows(
    database: Database, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_messages, "READ_ROWS", 3)
    store = open_store(messages=messages())
    for at in range(100):
        await store.store(TOPIC, 0, batch_of(sent(f"m{at}"), first=at))
    assert len(await kept(database)) == 100 // LEVEL_ROWS + 100 % LEVEL_ROWS
    other = open_store(messages=messages())
    ids = [f"m{at}" for at in range(100)]
    await other.store(TOPIC, 0, batch_of(sent(*ids, "new"), first=100))
    assert await duplicates(database) == list(range(100, 200))


async def test_an_empty_uuid_names_no_event(database: Database, open_store: OpenStore) -> None:
    bodies = [b'{"type":"A","uuid":""}', b'{"type":"A","uuid":"","message_id":""}'] * 2
    await open_store(messages=messages(by_uuid=True)).store(TOPIC, 0, batch_of(bodies))
    assert await duplicates(database) == []
    rows = await database.fetch("select uuid, message_id, duplicate from event")
    assert [tuple(row) for row in rows] == [("", None, None)] * 4
