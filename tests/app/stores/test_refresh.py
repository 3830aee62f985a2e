"""What the refresher writes when, with real sinks and a table in memory."""

from __future__ import annotations

import itertools
import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis as Client

from app.stack.redis import Redis
from app.stores.live import LiveCounts
from app.stores.refresh import Refresher
from app.stores.summary import SummaryRow, SummaryWriter
from tests.support.cutting_proxy import CuttingProxy
from tests.support.database import Database
from tests.support.rows import MemoryRows
from tests.support.sinks import Setup, live_row, read_live

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def live(make_redis: Callable[[], str]) -> Setup:
    """Return live counts in an empty Redis."""
    url = make_redis()

    async def empty() -> None:
        async with Client.from_url(url) as client:
            await client.flushdb()

    return Setup("redis", lambda: LiveCounts(url), live_row, lambda: read_live(url), empty)


@pytest.fixture
def summary(database: Database) -> Setup:
    """Return event_summary in an empty database."""

    def row(url: str, count: int) -> SummaryRow:
        return url, NOON, "CLICK", count

    async def read() -> dict[str, int]:
        found = await database.fetch("select url, count from event_summary")
        return {row[0]: row[1] for row in found}

    async def empty() -> None:
        await database.fetch("truncate event_summary, summary_positions")

    return Setup("summary", lambda: SummaryWriter(database.dsn), row, read, empty)


@pytest.fixture(params=["redis", "summary"])
async def setup(
    request: pytest.FixtureRequest, live: Setup, summary: Setup
) -> AsyncIterator[Setup]:
    """Return both sinks, one after the other."""
    setup = live if request.param == "redis" else summary
    yield setup
    for refresher in setup.opened:
        await refresher.close()


def away(sink: str) -> float | None:
    return REGISTRY.get_sample_value("event_counter_sink_away", {"sink": sink})


async def test_an_empty_sink_gets_all_rows(setup: Setup) -> None:
    rows = MemoryRows(0)
    setup.merge(rows, "/a", 1, 1)
    setup.merge(rows, "/b", 2, 2)
    recovered = rows.recover(started_at=3)
    assert await setup.refresher(recovered).cycle()
    assert await setup.read() == {"/a": 1, "/b": 2}


async def test_afterwards_it_gets_what_changes(setup: Setup) -> None:
    rows = MemoryRows(0)
    refresher = setup.refresher(rows)
    for count in (1, 2, 3):
        setup.merge(rows, "/a", count, count)
        assert await refresher.cycle()
        assert await setup.read() == {"/a": count}
    assert await refresher.cycle()
    assert rows.reads == 1, "all rows are written once"


async def test_a_new_owner_goes_on_where_the_sink_is(setup: Setup) -> None:
    rows = MemoryRows(0)
    setup.merge(rows, "/a", 1, 10)
    assert await setup.refresher(rows).cycle()
    new = rows.recover(started_at=8)  # what it reads again, it also merges again
    refresher = setup.refresher(new)
    assert await refresher.cycle()
    setup.merge(new, "/b", 1, 12)
    assert await refresher.cycle()
    assert await setup.read() == {"/a": 1, "/b": 1}
    assert new.reads == 0


async def test_a_new_owner_that_starts_after_the_sink_writes_all(setup: Setup) -> None:
    rows = MemoryRows(0)
    setup.merge(rows, "/a", 1, 10)
    assert await setup.refresher(rows).cycle()
    setup.merge(rows, "/b", 1, 12)  # its worker dies before the next refresh
    new = rows.recover(started_at=12)
    refresher = setup.refresher(new)
    assert await refresher.cycle()
    assert await setup.read() == {"/a": 1, "/b": 1}
    assert await refresher.cycle()
    assert new.reads == 1


async def test_many_rows_go_in_chunks(setup: Setup) -> None:
    rows = MemoryRows(0, chunk=700)
    for n in range(6001):
        setup.merge(rows, f"/{n}", n + 1, n)
    assert await setup.refresher(rows).cycle()
    assert await setup.read() == {f"/{n}": n + 1 for n in range(6001)}


async def test_only_owned_partitions_are_written(setup: Setup) -> None:
    rows = MemoryRows(0)
    setup.merge(rows, "/a", 1, 1)
    rows.merge(1, "/b", setup.row("/b", 1), 1)
    refresher = setup.refresher(rows)
    assert await refresher.cycle()
    assert await setup.read() == {"/a": 1}
    rows.owned_partitions.add(1)
    assert await refresher.cycle()
    assert await setup.read() == {"/a": 1, "/b": 1}
    rows.owned_partitions.clear()
    assert await refresher.cycle()


async def test_a_partition_that_goes_away_in_the_middle_is_left_alone(setup: Setup) -> None:
    rows = MemoryRows(0, chunk=10)
    refresher = setup.refresher(rows)
    assert await refresher.cycle()
    for n in range(100):
        setup.merge(rows, f"/{n}", 1, n + 1)
    sink = refresher._sink
    write, calls = sink.write, itertools.count()

    async def write_and_leave(*args: Any) -> bool:
        if next(calls) == 2:
            rows.owned_partitions.clear()  # a rebalance; its table can no longer be read
        return await write(*args)

    sink.write = write_and_leave  # type: ignore[assignment,method-assign]
    assert not await refresher.cycle()
    assert next(calls) == 3
    new = rows.recover(started_at=100)
    new.owned_partitions.add(0)
    assert await setup.refresher(new).cycle()
    assert len(await setup.read()) == 100


async def test_a_late_worker_lowers_nothing(setup: Setup) -> None:
    old = MemoryRows(0)
    late = setup.refresher(old)
    setup.merge(old, "/a", 1, 1)
    assert await late.cycle()
    new = old.recover(started_at=1)
    setup.merge(new, "/a", 5, 5)
    owner = setup.refresher(new)
    assert await owner.cycle()
    setup.merge(old, "/a", 2, 2)
    await late.cycle()
    for _ in range(2):  # one to notice, one to write
        await owner.cycle()
    assert await setup.read() == {"/a": 5}


async def test_a_sink_that_was_emptied_is_written_again(setup: Setup) -> None:
    rows = MemoryRows(0)
    refresher = setup.refresher(rows)
    setup.merge(rows, "/a", 1, 1)
    assert await refresher.cycle()
    await setup.empty()
    setup.merge(rows, "/b", 2, 2)
    assert await refresher.cycle()
    assert await setup.read() == {"/a": 1, "/b": 2}


async def test_a_summary_from_a_backup_is_written_again(summary: Setup, database: Database) -> None:
    rows = MemoryRows(0)
    refresher = summary.refresher(rows)
    for url, position in (("/a", 1), ("/b", 2)):
        summary.merge(rows, url, 1, position)
        assert await refresher.cycle()
    await database.fetch("delete from event_summary where url = '/b'")
    await database.fetch("update summary_positions set position = 1")
    assert await refresher.cycle()
    assert await summary.read() == {"/a": 1, "/b": 1}
    await refresher.close()


async def test_a_flush_in_the_middle_of_a_refresh_is_noticed(make_redis: Callable[[], str]) -> None:
    url = make_redis()
    client = Client.from_url(url)

    class Flushed(MemoryRows):
        def every(self, partition: int) -> Any:
            for number, chunk in enumerate(super().every(partition)):
                yield chunk
                if number == 2 and self.reads == 1:
                    flushed.append(client.flushdb())

    class Live(LiveCounts):
        async def write(self, partition: int, rows: Any, position: int | None) -> bool:
            while flushed:
                await flushed.pop()
            return await super().write(partition, rows, position)

    flushed: list[Any] = []
    rows = Flushed(0, chunk=100)
    for n in range(1000):
        rows.merge(0, n, live_row(f"/{n}", 1), n)
    refresher = Refresher("redis", Live(url), rows)
    assert not await refresher.cycle()
    assert await refresher.cycle()
    assert len(await read_live(url)) == 1000
    await refresher.close()
    await client.aclose()


async def test_what_could_not_be_written_is_written_when_redis_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    part = Redis(tmp_path / "redis", tmp_path / "redis.log")
    url = await part.start()
    rows = MemoryRows(0, 1)
    refresher = Refresher("redis", LiveCounts(url), rows)
    rows.merge(0, "/a", live_row("/a", 1), 1)
    assert await refresher.cycle()
    await part.stop()
    for count in (2, 3):
        rows.merge(0, "/a", live_row("/a", count), count)
        rows.merge(1, "/b", live_row("/b", count), count)
        assert not await refresher.cycle()
    assert away("redis") == 1
    await part.start()
    assert await refresher.cycle()
    assert away("redis") == 0
    assert await read_live(url) == {"/a": 3, "/b": 3}
    said = [record.getMessage() for record in caplog.records if record.name == "app.stores.outages"]
    assert len(said) == 2, said
    await refresher.close()
    await part.stop()


async def test_a_summary_write_that_breaks_off_is_done_again(database: Database) -> None:
    async with CuttingProxy(database.dsn) as proxy:
        rows = MemoryRows(0)
        refresher = Refresher("summary", SummaryWriter(proxy.url), rows)
        for count in (1, 2):
            rows.merge(0, "/a", ("/a", NOON, "CLICK", count), count)
            proxy.lose_answer_to = b"commit" if count == 2 else None
            assert await refresher.cycle() == (count == 1)
        assert await refresher.cycle()
        assert [tuple(r) for r in await database.fetch("select count from event_summary")] == [(2,)]
        await refresher.close()
