"""Totals of all types in memory: the same as in the table, whatever happens while they are read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from app.counting.counters import Counters
from app.counting.row_keys import SOURCE
from app.errors import RecoveringError
from tables.totals import Totals
from tables.turns import TURN_ROWS
from tables.type_totals import TypeTotals


def nothing() -> None:
    """The partition is ours."""


def record(counters: Counters, label: str, count: int, source: int = 0) -> Any:
    key = counters["events_by_type"].keys.row("", 0, label) + SOURCE.pack(source)
    return SimpleNamespace(key=key, value=msgspec.msgpack.encode((9, {0: count})))


async def test_they_follow_what_is_merged_and_begin_anew_after_a_rebalance(
    make_totals: Callable[[], Totals], counters: Counters
) -> None:
    totals = make_totals()
    types, partition = TypeTotals(totals, counters), totals.partition_of("")
    await totals.merge(partition, [record(counters, "a", 3), record(counters, "b", 1)], 1)
    assert await types.read(nothing) == {"a": 3, "b": 1}
    before = types.changes
    await totals.merge(partition, [record(counters, "a", 2, source=1)], 2)
    assert await types.read(nothing) == {"a": 5, "b": 1}
    assert types.changes != before
    totals.forget()
    assert await types.read(nothing) == {"a": 5, "b": 1}


async def test_what_is_merged_while_they_are_read_is_in_them(
    make_totals: Callable[[], Totals], counters: Counters
) -> None:
    totals = make_totals()
    types, partition = TypeTotals(totals, counters), totals.partition_of("")
    many = [record(counters, f"{n:05}", 1) for n in range(TURN_ROWS + 10)]
    await totals.merge(partition, many, 1)
    reading = asyncio.create_task(types.read(nothing))
    await asyncio.sleep(0)
    await totals.merge(partition, [record(counters, "00000", 7), record(counters, "z", 4)], 2)
    found = await reading
    assert (len(found), found["00000"], found["z"]) == (TURN_ROWS + 11, 7, 4)


async def test_a_partition_that_moves_meanwhile_leaves_nothing_behind(
    make_totals: Callable[[], Totals], counters: Counters
) -> None:
    totals = make_totals()
    types, partition = TypeTotals(totals, counters), totals.partition_of("")
    await totals.merge(partition, [record(counters, "a", 3)], 1)

    def moved() -> None:
        raise RecoveringError("moved")

    with pytest.raises(RecoveringError):
        await types.read(moved)
    assert await types.read(nothing) == {"a": 3}
