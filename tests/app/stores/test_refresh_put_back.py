"""Sinks that are put back as they were, or emptied, while a worker waits to write to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from app.errors import PostgresUnavailableError
from app.stores.refresh import Refresher
from tests.support.rows import MemoryRows
from tests.support.sinks import Setup


class Closing:
    """Lets a sink take no write once it has taken so many."""

    def __init__(self, sink: Any, after: int) -> None:
        self.left, self._write = after, sink.write
        sink.write = self

    async def __call__(self, partition: int, rows: Sequence[Any], position: int | None) -> bool:
        self.left -= 1
        if self.left < 0:
            raise PostgresUnavailableError("away")
        written: bool = await self._write(partition, rows, position)
        return written


def url_of(number: int) -> str:
    return f"/{number}"


async def merge_and_write(
    setup: Setup, rows: MemoryRows, refresher: Refresher[Any], numbers: range
) -> bool:
    """Merge a row for each number, at the position of the last one."""
    for number in numbers:
        setup.merge(rows, url_of(number), 1, number)
    return await refresher.cycle()


async def catch_up(refresher: Refresher[Any]) -> None:
    """Refresh until the sink takes everything."""
    for _ in range(3):
        if await refresher.cycle():
            return
    raise AssertionError


@pytest.mark.parametrize("taken", [0, 3])
async def test_what_waits_does_not_hide_what_a_sink_lost_that_was_put_back(
    setup: Setup, taken: int
) -> None:
    rows = MemoryRows(0, chunk=10)
    refresher = setup.refresher(rows)
    assert await merge_and_write(setup, rows, refresher, range(10))
    put_back = await setup.snapshot()
    assert await merge_and_write(setup, rows, refresher, range(10, 20))
    sink = Closing(setup.sink, taken)
    assert not await merge_and_write(setup, rows, refresher, range(20, 100))
    await put_back()
    sink.left = 1000
    await catch_up(refresher)
    assert (await setup.read()).keys() == set(map(url_of, range(100)))
    assert rows.reads == 1, "not everything again"


async def test_a_sink_that_loses_what_it_has_of_all_rows_gets_all(setup: Setup) -> None:
    before = MemoryRows(0, chunk=10)
    for number in range(100):
        setup.merge(before, url_of(number), 1, number)
    refresher = setup.refresher(before.recover(started_at=100))
    sink = Closing(setup.sink, 5)
    assert not await refresher.cycle()
    await setup.empty()
    sink.left = 1000
    await catch_up(refresher)
    assert (await setup.read()).keys() == set(map(url_of, range(100)))


async def test_a_sink_that_is_put_back_after_its_position_was_read_gets_all_changes(
    setup: Setup,
) -> None:
    rows = MemoryRows(0)
    refresher = setup.refresher(rows)
    assert await merge_and_write(setup, rows, refresher, range(10))
    put_back = await setup.snapshot()
    assert await merge_and_write(setup, rows, refresher, range(10, 20))
    sink, read = setup.sink, setup.sink.position

    async def read_and_be_put_back(partition: int) -> int | None:
        found: int | None = await read(partition)
        sink.position = read
        await put_back()
        return found

    sink.position = read_and_be_put_back
    assert not await merge_and_write(setup, rows, refresher, range(20, 30))
    await catch_up(refresher)
    assert (await setup.read()).keys() == set(map(url_of, range(30)))
