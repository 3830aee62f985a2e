"""The look at Postgres ends with the worker, and does not end the batch that is being stored."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import asyncpg

from agents.watch_postgres import register
from app.stores.event_store import EventStore
from tests.support.batches import TOPIC, batch_of, events
from tests.support.database import Database
from tests.support.waiting import wait_until

LOCK = "select * from sink_offsets for update"
WAITING = "select count(*) from pg_locks where not granted"


async def test_a_worker_that_stops_stores_the_batch_that_it_has(
    make_database: Callable[[], Awaitable[str]],
) -> None:
    database = Database(await make_database())
    store, tasks = EventStore(database.dsn), list[Callable[[], Coroutine[Any, Any, None]]]()
    consumer = SimpleNamespace(gate=1, positions=dict)
    app = SimpleNamespace(
        task=tasks.append, should_stop=False, sleep=asyncio.sleep, consumer=consumer
    )
    register(app, store)
    await store.store(TOPIC, 0, batch_of(events([0])))
    looking = asyncio.create_task(tasks[0]())
    other = await asyncpg.connect(database.dsn)
    async with other.transaction():
        await other.execute(LOCK)
        storing = asyncio.create_task(store.store_once(TOPIC, 0, batch_of(events([1, 2]), first=1)))
        await wait_until(lambda: other.fetchval(WAITING), 1)
        looking.cancel()
        await asyncio.wait([looking])
    assert await storing == 2
    assert await database.uuids() == [0, 1, 2]
    await other.close()
    store.close()
