"""Workers that overlap, connections that die, a Postgres that is away: still each record once."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest
from prometheus_client import REGISTRY

from app.errors import RowRefusedError, UnavailableError
from app.stack.postgres import LocalPostgres
from app.stores.event_store import EventStore
from tests.support.batches import TOPIC, batch_of, events
from tests.support.cutting_proxy import CuttingProxy
from tests.support.database import Database
from tests.support.waiting import wait_until

OpenStore = Callable[..., EventStore]


def away() -> float | None:
    """Return the gauge of the sink event."""
    return REGISTRY.get_sample_value("event_counter_sink_away", {"sink": "event"})


async def test_two_workers_with_the_same_partition_store_each_record_once(
    database: Database, open_store: OpenStore
) -> None:
    rng = random.Random(7)

    async def work(store: EventStore) -> None:
        """Store the whole log in batches of its own, now and then from further back."""
        at = 0
        while at < 600:
            first = max(0, at - rng.randrange(20))
            at = min(600, first + 1 + rng.randrange(40))
            await store.store(TOPIC, 0, batch_of(events(range(first, at)), first=first))

    await asyncio.gather(*(work(open_store()) for _ in range(3)))
    assert await database.uuids() == list(range(600))
    assert await database.offsets() == {0: (600, 600)}


async def test_a_commit_whose_answer_is_lost_counts_once(
    database: Database, open_store: OpenStore
) -> None:
    async with CuttingProxy(database.dsn) as proxy:
        store = open_store(proxy.url)
        await store.store(TOPIC, 0, batch_of(events([0])))
        proxy.lose_answer_to = b"commit"
        batch = batch_of(events([1, 2]), first=1)
        with pytest.raises(UnavailableError):
            await store.store_once(TOPIC, 0, batch)
        await wait_until(database.uuids, [0, 1, 2])  # it is committed, and nobody was told
        assert await store.store(TOPIC, 0, batch) == 0
        assert await database.offsets() == {0: (3, 3)}
        store.close()


async def test_connections_that_die_again_and_again_lose_and_double_nothing(
    database: Database, open_store: OpenStore
) -> None:
    store = open_store()
    await store.store(TOPIC, 0, batch_of(events([0])))
    killer = await asyncpg.connect(database.dsn)
    rng, kills = random.Random(3), 0

    async def kill() -> None:
        nonlocal kills
        while True:
            await asyncio.sleep(0.02 + rng.random() * 0.1)  # time enough for a few batches
            kills += await killer.fetchval(
                "select count(pg_terminate_backend(pid)) from pg_stat_activity"
                " where application_name = 'event-counter store'"
                " and datname = current_database()"
            )

    killing, at = asyncio.create_task(kill()), 1
    try:
        while kills < 20:
            await store.store(TOPIC, 0, batch_of(events(range(at, at + 2000)), first=at))
            at += 2000
    finally:
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)
        await killer.close()
    assert await database.uuids() == list(range(at))
    assert await database.offsets() == {0: (at, at)}


async def test_a_worker_that_hangs_in_its_transaction_loses_the_partition(
    database: Database, open_store: OpenStore
) -> None:
    async with CuttingProxy(database.dsn) as proxy:
        frozen = open_store(proxy.url)
        await frozen.store(TOPIC, 0, batch_of(events([0])))
        proxy.still_after = 100_000  # bytes: in the middle of a COPY
        batch = batch_of(events(range(1, 10_000)), first=1)
        hanging = asyncio.create_task(frozen.store(TOPIC, 0, batch))
        await wait_until(lambda: proxy.still, expected=True)
        assert await asyncio.wait_for(open_store().store(TOPIC, 0, batch), 30) == 9_999
        proxy.still = False
        assert await asyncio.wait_for(hanging, 10) == 0
        assert await database.uuids() == list(range(10_000))
        frozen.close()


async def test_a_server_that_falls_silent_is_given_up(
    database: Database, open_store: OpenStore
) -> None:
    async with CuttingProxy(database.dsn) as proxy:
        store = open_store(proxy.url, timeout_s=0.5)
        await store.store(TOPIC, 0, batch_of(events([0])))
        proxy.still = True
        storing = asyncio.create_task(store.store(TOPIC, 0, batch_of(events([1]), first=1)))
        await wait_until(away, 1)
        proxy.still = False
        assert await asyncio.wait_for(storing, 10) in (0, 1)
        assert await database.uuids() == [0, 1]
        store.close()


async def test_the_store_waits_while_postgres_is_stopped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    part = LocalPostgres(tmp_path / "postgres", tmp_path / "postgres.log")
    await part.start()
    database = Database(part.address)
    store = EventStore(part.address)
    await store.store(TOPIC, 0, batch_of(events(range(5))))

    await part.stop()
    storing = asyncio.create_task(store.store(TOPIC, 0, batch_of(events(range(5, 9)), first=5)))
    await wait_until(away, 1)
    await asyncio.sleep(1)  # some attempts
    assert not storing.done()
    await part.start()
    assert await asyncio.wait_for(storing, 20) == 4
    assert away() == 0

    assert await database.uuids() == list(range(9))
    said = [record.getMessage() for record in caplog.records if record.name == "app.stores.outages"]
    assert len(said) == 2
    assert "waiting" in said[0]
    assert "back after" in said[1]
    store.close()
    await part.stop()


@pytest.mark.parametrize("state", ["53100", "40001", "57014"])
async def test_what_passes_is_tried_again(
    database: Database, open_store: OpenStore, state: str
) -> None:
    store = open_store()
    await store.store(TOPIC, 0, batch_of(events([0])))
    await database.refuse_rows(state)
    storing = asyncio.create_task(store.store(TOPIC, 0, batch_of(events([1, 2]), first=1)))
    await wait_until(away, 1)
    await database.take_rows()
    assert await asyncio.wait_for(storing, 10) == 2
    assert await database.uuids() == [0, 1, 2]


async def test_a_row_that_postgres_never_takes_stops_with_its_place(
    database: Database, open_store: OpenStore
) -> None:
    store = open_store()
    await store.store(TOPIC, 0, batch_of(events([0])))
    await database.refuse_rows("22000")
    with pytest.raises(
        RowRefusedError, match=r"(?s)offsets 1 to 3 of events-0.*COPY event, line 1"
    ):
        await store.store(TOPIC, 0, batch_of(events([1, 2]), first=1))
    assert await database.offsets() == {0: (1, 1)}


async def test_a_cancelled_store_leaves_nothing_half_done(
    database: Database, open_store: OpenStore
) -> None:
    store = open_store()
    await store.store(TOPIC, 0, batch_of(events([0])))
    batch = batch_of(events(range(1, 5000)), first=1)
    for delay_ms in range(0, 40, 2):
        storing = asyncio.create_task(store.store(TOPIC, 0, batch))
        await asyncio.sleep(delay_ms / 1000)
        storing.cancel()
        await asyncio.gather(storing, return_exceptions=True)
    await store.store(TOPIC, 0, batch)
    assert await database.uuids() == list(range(5000))
    assert await database.offsets() == {0: (5000, 5000)}
