"""The tables as files, and from files into another database, row by row the same."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import msgspec
import pytest

from app.stores.copies import COPIED, DatabaseCopy, copy_in, copy_out, sum_up
from app.stores.event_store import EventStore
from app.stores.sql import load_queries, migrate
from app.stores.stored_messages import StoredMessages
from app.stores.summary import SummaryWriter
from tests.support.batches import TOPIC, batch_of
from tests.support.database import Database
from tests.support.waiting import wait_until

FILE = Path(__file__).parents[2] / "data" / "storable_events.json"
NASTY = [case["event"].encode() for case in json.loads(FILE.read_text())]
OF_2015 = {"type": "old", "url": "/old", "timestamp": "2015-05-17T10:05:03Z", "message_id": "m"}

HOUR = datetime(2026, 9, 21, 12, tzinfo=UTC)
BLOCKED = (
    "select 1 from pg_stat_activity where application_name = 'sum_up' and wait_event_type = 'Lock'"
)


async def copied(database: Database, folder: Path) -> DatabaseCopy:
    connection = await asyncpg.connect(database.dsn)
    try:
        return await copy_out(connection, folder, TOPIC)
    finally:
        await connection.close()


async def put_in(database: Database, folder: Path, found: DatabaseCopy) -> None:
    connection = await asyncpg.connect(database.dsn)
    try:
        async with connection.transaction():
            await copy_in(connection, folder, found)
        await sum_up(connection, None)
    finally:
        await connection.close()


async def rows(database: Database) -> dict[str, list[str]]:
    """Return the rows of all tables as text, sorted."""
    found = {name: await database.fetch(f"select t::text from {name} t") for name in COPIED}
    return {name: sorted(row[0] for row in some) for name, some in found.items()}


@pytest.fixture
async def other(make_database: Callable[[], Awaitable[str]]) -> Database:
    """Return an empty database with tables, noted by a start of its own."""
    database = Database(await make_database())
    await migrate(database.dsn)
    return database


async def test_a_copy_is_the_same_row_by_row(
    database: Database,
    other: Database,
    open_store: Callable[..., EventStore],
    tmp_path: Path,
) -> None:
    events = [*NASTY, *[json.dumps(OF_2015).encode()] * 2]
    store = open_store(messages=StoredMessages(24, by_uuid=False))
    stored = await store.store(TOPIC, 2, batch_of(events, first=10, partition=2))
    found = await copied(database, tmp_path)
    assert (found.events, found.missing) == (stored, 0)
    assert found.positions == {2: 10 + len(events)}
    await put_in(other, tmp_path, found)
    there = await rows(database)
    assert await rows(other) == there
    assert there["event_messages"]
    assert await other.fetch("select from event_2015_05")
    summed = await other.fetch("select url, type, count from event_summary where type = 'old'")
    assert [tuple(row) for row in summed] == [("/old", "old", 1)]  # the second is a duplicate


async def test_what_count_workers_wrote_meanwhile_is_raised_and_never_lowered(
    database: Database, open_store: Callable[..., EventStore]
) -> None:
    event = {"type": "t", "timestamp": f"{HOUR:%Y-%m-%dT%H:%M:%SZ}"}
    urls = [f"/{number:03}" for number in range(200)]
    events = [json.dumps(event | {"url": url}).encode() for url in urls for _ in range(2)]
    await open_store().store(TOPIC, 0, batch_of(events))
    counts = dict(zip(urls, (number % 4 for number in range(200)), strict=True))
    worker = SummaryWriter(database.dsn)
    await worker.write(0, [(url, HOUR, "t", n) for url, n in counts.items() if n][:50], None)
    await worker.close()
    later = [(url, HOUR, "t", n) for url, n in counts.items() if n][50:]
    other, ours = (
        await asyncpg.connect(database.dsn),
        await asyncpg.connect(database.dsn, server_settings={"application_name": "sum_up"}),
    )
    upsert = load_queries()["summary.upsert"]
    async with other.transaction():
        await other.execute(upsert, *map(list, zip(*later[:1], strict=True)))
        summing = asyncio.create_task(sum_up(ours, None))

        async def is_waiting() -> bool:
            return summing.done() or bool(await database.fetch(BLOCKED))

        await wait_until(is_waiting, expected=True)
        await other.execute(upsert, *map(list, zip(*later[1:], strict=True)))
    await summing
    await asyncio.gather(other.close(), ours.close())
    found = await database.fetch("select url, count from event_summary")
    assert dict(found) == {url: max(2, n) for url, n in counts.items()}


async def test_a_file_that_lacks_rows_fills_nothing(
    database: Database,
    other: Database,
    open_store: Callable[..., EventStore],
    tmp_path: Path,
) -> None:
    await open_store().store(TOPIC, 0, batch_of([b'{"type":"t"}']))
    found = await copied(database, tmp_path)
    more = [msgspec.structs.replace(table, rows=2) for table in found.tables]
    with pytest.raises(OSError, match="event: COPY 1 instead of 2 rows"):
        await put_in(other, tmp_path, msgspec.structs.replace(found, tables=more))
    assert await other.fetch("select from event") == []


async def test_it_is_known_how_many_rows_are_gone(
    database: Database, open_store: Callable[..., EventStore], tmp_path: Path
) -> None:
    await open_store().store(TOPIC, 0, batch_of([b'{"type":"t"}'] * 3))
    await database.fetch("delete from event where kafka_offset = 1")
    found = await copied(database, tmp_path)
    assert (found.events, found.missing) == (2, 1)
