"""What the refresher writes when, with real sinks and a table in memory."""

from __future__ import annotations

import itertools
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from app.errors import UnavailableError
from app.stack.redis import Redis
from app.stores.live import LiveCounts
from app.stores.refresh import Refresher
from app.stores.summary import SummaryWriter
from tests.support.cutting_proxy import CuttingProxy
from tests.support.database import Database
from tests.support.rows import MemoryRows
from tests.support.sinks import Setup, live_row, read_live

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


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
    sink = setup.sink
    write, calls = sink.write, itertools.count()

    async def write_and_leave(*args: Any) -> Any:
        if next(calls) == 2:
            rows.owned_partitions.clear()  # a rebalance; its table can no longer be read
        return await write(*args)

    sink.write = write_and_leave
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


async def test_a_worker_that_has_nothing_to_write_any_more_tells_of_no_outage(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    part = Redis(tmp_path / "redis", tmp_path / "redis.log")
    writer = LiveCounts(await part.start())
    await part.stop()
    for ends in ("cycle", "look"):
        rows = MemoryRows(0)
        refresher = Refresher("redis", writer, rows)
        rows.merge(0, "/a", live_row("/a", 1), 1)

        async def go_on(how: str = ends, refresher: Refresher[Any] = refresher) -> None:
            await (refresher.cycle() if how == "cycle" else refresher.look(writer.ask))

        assert not await refresher.cycle()
        rows.moving = True  # a rebalance
        rows.owned_partitions.clear()
        await go_on()
        assert away("redis") == 1, "it may get them back"
        rows.moving = False
        await go_on()
        assert away("redis") == 0
    said = [record.getMessage() for record in caplog.records if record.name == "app.stores.outages"]
    assert len(said) == 4, said
    assert "back" not in "".join(said)
    await refresher.close()


async def test_a_store_that_only_answers_is_not_back_after_a_rebalance(setup: Setup) -> None:
    rows = MemoryRows(0)
    refresher = setup.refresher(rows)
    setup.merge(rows, "/a", 1, 1)
    write, setup.sink.write = setup.sink.write, refuse
    assert not await refresher.cycle()
    rows.moving = True
    rows.owned_partitions.clear()
    await refresher.cycle()
    rows.moving = False
    rows.owned_partitions.add(0)
    await refresher.look(answer)
    assert away(setup.name) == 1
    setup.sink.write = write
    assert await refresher.cycle()
    assert away(setup.name) == 0


async def refuse(*_: Any) -> bool:
    raise UnavailableError("it takes nothing")


async def answer() -> None:
    pass


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
