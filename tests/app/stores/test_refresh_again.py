"""Sinks that lost something, and refreshes that were disturbed: everything is there in the end."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from redis.asyncio import Redis as Client

from app.errors import PostgresUnavailableError
from app.stores.live import LiveCounts
from app.stores.refresh import Refresher
from tests.support.database import Database
from tests.support.rows import MemoryRows
from tests.support.sinks import Setup, live_row, read_live

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


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


async def test_a_new_owner_that_starts_after_the_sink_writes_what_lies_between(
    setup: Setup,
) -> None:
    rows = MemoryRows(0)
    setup.merge(rows, "/a", 1, 10)
    assert await setup.refresher(rows).cycle()
    setup.merge(rows, "/b", 1, 12)  # its worker dies before the next refresh
    new = rows.recover(started_at=12)
    refresher = setup.refresher(new)
    assert await refresher.cycle()
    assert await setup.read() == {"/a": 1, "/b": 1}
    assert await refresher.cycle()
    assert new.reads == 0, "not all of all time, at each restart"


async def test_what_the_topic_does_not_tell_any_more_is_written_with_all(setup: Setup) -> None:
    rows = MemoryRows(0)
    setup.merge(rows, "/a", 1, 10)
    assert await setup.refresher(rows).cycle()
    setup.merge(rows, "/b", 1, 12)
    new = rows.recover(started_at=12)
    new.log_is_whole = False
    assert await setup.refresher(new).cycle()
    assert await setup.read() == {"/a": 1, "/b": 1}
    assert new.reads == 1


@pytest.mark.parametrize("call", ["position", "write"])
async def test_a_rebalance_while_the_sink_is_waited_for_leaves_nothing_stale(
    setup: Setup, call: str
) -> None:
    rows = MemoryRows(0)
    refresher = setup.refresher(rows)
    setup.merge(rows, "/a", 5, 500)
    assert await refresher.cycle()
    setup.merge(rows, "/a", 9, 600)
    sink, waits = setup.sink, [True]
    method = getattr(sink, call)

    async def and_meanwhile_it_moves_away_and_back(*args: Any) -> Any:
        found = await method(*args)
        if waits.pop() if waits else False:
            rows.rebalance(started_at=600)
            setup.merge(rows, "/b", 1, 650)
        return found

    setattr(sink, call, and_meanwhile_it_moves_away_and_back)
    for _ in range(3):
        await refresher.cycle()
    assert await setup.read() == {"/a": 9, "/b": 1}


async def test_a_write_of_all_that_fails_goes_on_where_it_was(summary: Setup) -> None:
    rows = MemoryRows(0, chunk=10)
    for n in range(100):
        summary.merge(rows, f"/{n}", 1, n + 1)
    refresher, written = summary.refresher(rows), list[int]()
    write = summary.sink.write

    async def write_five(partition: int, some: Any, position: int | None) -> Any:
        if len(written) == 5:
            written.append(0)
            raise PostgresUnavailableError("locked")
        written.append(len(some))
        return await write(partition, some, position)

    summary.sink.write = write_five
    assert not await refresher.cycle()
    assert await refresher.cycle()
    assert len(await summary.read()) == 100
    assert (rows.reads, sum(written[:11])) == (1, 100)
    await refresher.close()


async def test_a_sink_that_was_emptied_is_written_again(setup: Setup) -> None:
    rows = MemoryRows(0)
    refresher = setup.refresher(rows)
    setup.merge(rows, "/a", 1, 1)
    assert await refresher.cycle()
    await setup.empty()
    setup.merge(rows, "/b", 2, 2)
    assert await refresher.cycle()
    assert await setup.read() == {"/a": 1, "/b": 2}


async def test_a_sink_that_is_emptied_after_its_position_was_read_is_written_again(
    setup: Setup,
) -> None:
    rows = MemoryRows(0)
    refresher = setup.refresher(rows)
    setup.merge(rows, "/a", 1, 1)
    assert await refresher.cycle()
    setup.merge(rows, "/b", 2, 2)
    sink = setup.sink
    read = sink.position

    async def read_and_be_emptied(partition: int) -> Any:
        found = await read(partition)
        sink.position = read
        await setup.empty()
        return found

    sink.position = read_and_be_emptied
    assert not await refresher.cycle(), "the position must not be put back"
    assert await refresher.cycle()
    assert await setup.read() == {"/a": 1, "/b": 2}


async def test_a_sink_that_is_emptied_while_all_is_written_gets_all(setup: Setup) -> None:
    rows = MemoryRows(0, chunk=10)
    for n in range(100):
        setup.merge(rows, f"/{n}", 1, n + 1)
    refresher, calls = setup.refresher(rows), itertools.count()
    write = setup.sink.write

    async def write_and_be_emptied(*args: Any) -> Any:
        if next(calls) == 5:
            await setup.empty()
        return await write(*args)

    setup.sink.write = write_and_be_emptied
    assert not await refresher.cycle()
    assert await refresher.cycle()
    assert len(await setup.read()) == 100


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
