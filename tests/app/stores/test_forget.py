"""A user taken out of event: what is counted by stays, what says whose it is does not."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from app.stores.event_store import EventStore
from app.stores.sql import load_queries
from app.stores.stored_messages import StoredMessages
from tests.support.batches import RECORD_MS, TOPIC, batch_of
from tests.support.database import Database

OpenStore = Callable[..., EventStore]
RECORDED = datetime.fromtimestamp(RECORD_MS / 1000, UTC)
LATER, EARLIER = RECORDED + timedelta(hours=1), RECORDED - timedelta(hours=1)
EVENT = {
    "type": "t",
    "uuid": "u",
    "ip": "i",
    "url": "/",
    "user_id": "a",
    "session_id": "s",
    "referrer": "r",
    "user_agent": "ua",
    "properties": {"a": {"b": 1, "c": 2}, "a.d": 0.50, "n": None, "x": "y"},
}


async def stored(open_store: OpenStore, events: Sequence[dict[str, Any]]) -> None:
    store = open_store(messages=StoredMessages(24, by_uuid=False))
    await store.store(TOPIC, 0, batch_of([json.dumps(event).encode() for event in events]))


async def forget(database: Database, since: datetime, *kept: list[str]) -> dict[str, Any]:
    args = "a", "salt", since, *(kept or ([], []))
    return dict((await database.fetch(load_queries()["forget.user"], *args))[0])


async def rows(database: Database) -> list[dict[str, Any]]:
    found = await database.fetch("select * from event order by kafka_offset")
    return [
        dict(row) | {"properties": row["properties"] and json.loads(row["properties"])}
        for row in found
    ]


async def test_nothing_says_whose_a_row_is(database: Database, open_store: OpenStore) -> None:
    await stored(open_store, [EVENT, EVENT | {"user_id": "b"}, EVENT | {"url": "/2"}])
    before = await rows(database)
    found = await forget(database, LATER)
    assert found == {"rows": 2, "messages": 0, "newest": before[0]["received_at"]}
    one, other, two = await rows(database)
    assert other == before[1]
    gone = ("ip", "referrer", "user_agent", "properties")
    assert [one[name] for name in gone] == [None] * 4
    assert one["uuid"] == "0-0"
    assert one["user_id"].startswith("forgotten-")
    assert one["session_id"].startswith("forgotten-")
    assert (one["user_id"], one["session_id"]) == (two["user_id"], two["session_id"])
    changed = {*gone, "uuid", "user_id", "session_id"}
    assert {n: v for n, v in one.items() if n not in changed} == {
        n: v for n, v in before[0].items() if n not in changed
    }


async def test_what_something_counts_by_stays(database: Database, open_store: OpenStore) -> None:
    await stored(open_store, [EVENT])
    await forget(
        database, LATER, ["ip", "uuid", "referrer", "user_agent"], ["a.b", "a.d", "n", "no"]
    )
    (row,) = await rows(database)
    assert row["properties"] == {"a.b": 1, "a.d": 0.5, "n": None}
    assert (row["referrer"], row["user_agent"]) == ("r", "ua")
    assert row["ip"].startswith("forgotten-")
    assert row["uuid"].startswith("forgotten-")


async def test_message_ids_that_may_come_again_stay(
    database: Database, open_store: OpenStore
) -> None:
    of_a = [EVENT | {"message_id": name} for name in ("m", "m", "shared")]
    await stored(open_store, [*of_a, EVENT | {"message_id": "shared", "user_id": "b"}])
    assert (await forget(database, EARLIER))["messages"] == 3
    assert [row["message_id"] for row in await rows(database)] == ["m", "m", "shared", "shared"]
    await database.fetch("update event set user_id = 'a' where user_id <> 'b'")
    assert (await forget(database, LATER))["messages"] == 1
    one, again, shared, _ = await rows(database)
    assert one["message_id"] == again["message_id"] != "m"
    assert shared["message_id"] == "shared"
    assert again["duplicate"]
