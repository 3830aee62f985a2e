"""Who waits for what a table holds: woken by what is enough, never kept for nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from app.counting.counters import Counters
from app.counting.row_keys import MARK, mark_of
from tables import reached
from tables.reached import Reached, all_reached
from tables.totals import POSITION, Totals
from tables.unique_marks import decode_row, encode_row, encode_sent
from tables.uniques import Uniques
from tests.tables.conftest import SentRecords
from tests.tables.test_totals import partial as counted
from tests.tables.test_uniques import MakeUniques, make_uniques, records

assert make_uniques  # a fixture


def mark(source: int, position: int) -> Any:
    value = msgspec.msgpack.encode((position, {0: position}))
    return SimpleNamespace(key=mark_of(source), value=value)


def users_mark(source: int, position: int) -> Any:
    return SimpleNamespace(key=mark_of(source), value=encode_sent(position))


async def test_who_waits_is_woken_by_what_is_enough() -> None:
    merged: dict[int, int] = {}
    table = Reached(lambda _partition, asked: all_reached(merged, asked))
    waiting = asyncio.create_task(table.wait(2, {0: 5, 1: 7}, 60))
    for source, position in ((0, 5), (1, 6)):
        await asyncio.sleep(0)
        merged[source] = position
        table.wake(2)
        await asyncio.sleep(0)
        assert not waiting.done()
    merged[1] = 7
    table.wake(3)
    await asyncio.sleep(0)
    assert not waiting.done()
    table.wake(2)
    assert await waiting


async def test_who_waits_looks_again_where_partitions_move() -> None:
    table = Reached(lambda _partition, _asked: False)
    waiting = asyncio.create_task(table.wait(0, {0: 5}, 60))
    await asyncio.sleep(0)
    table.forget()
    assert await waiting


async def test_nobody_waits_longer_than_he_may_or_behind_too_many_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reached, "WAITING_MAX", 2)
    table = Reached(lambda _partition, _asked: False)
    assert not await table.wait(0, {0: 5}, 0)
    assert not await table.wait(0, {0: 5}, 0.01)
    two = [asyncio.create_task(table.wait(0, {0: 5}, 60)) for _ in range(2)]
    await asyncio.sleep(0)
    assert not await table.wait(0, {0: 5}, 60)
    two[0].cancel()
    await asyncio.wait([two[0]])
    third = asyncio.create_task(table.wait(0, {0: 5}, 60))
    await asyncio.sleep(0)
    table.forget()
    assert all(await asyncio.gather(two[1], third))


async def test_totals_hold_what_their_marks_say_also_after_a_restart(
    make_totals: Callable[[], Totals], counters: Counters
) -> None:
    totals = make_totals()
    partition = totals.partition_of("/a")
    waiting = asyncio.create_task(totals.reached.wait(partition, {0: 10}, 60))
    await asyncio.sleep(0)
    await totals.merge(partition, [counted(counters, 0, 9)], 1)
    assert not totals.reached.holds(partition, {0: 10})
    assert not waiting.done()
    await totals.merge(partition, [mark(0, 10), mark(3, 2)], 3)
    assert await waiting
    totals.forget()
    assert totals.reached.holds(partition, {0: 10, 3: 2})
    assert not totals.reached.holds(partition, {0: 11})
    assert not totals.reached.holds(partition, {1: 1})
    assert totals.reached.holds(partition, {1: 0})


async def test_a_mark_goes_into_the_changelog_behind_the_rows_that_it_speaks_of(
    make_totals: Callable[[], Totals], counters: Counters, sent: SentRecords
) -> None:
    totals = make_totals()
    partition = totals.partition_of("/a")
    await totals.merge(partition, [mark(0, 10), counted(counters, 0, 9)], 2)
    topic = totals.changelog_topic.get_topic_name()
    row, *marks = sent.keys(topic, partition)
    assert row == counted(counters, 0, 9).key[:-2]
    assert marks == [MARK, POSITION]


async def test_distinct_users_hold_what_their_marks_say_also_after_a_restart(
    make_uniques: MakeUniques, sent: SentRecords
) -> None:
    uniques: Uniques = make_uniques()
    partition = uniques.partition_of("")
    uniques.merge(partition, records("ab"))
    assert not uniques.reached.holds(partition, {0: 10})
    uniques.merge(partition, [users_mark(0, 10), users_mark(3, 2), users_mark(0, 4)])
    assert uniques.reached.holds(partition, {0: 10, 3: 2})
    uniques.merged(partition, 9, lambda: None)
    await uniques.flush()
    topic = uniques.changelog_topic.get_topic_name()
    assert sent.keys(topic, partition)[-1] == MARK
    uniques.forget()
    assert uniques.reached.holds(partition, {0: 10, 3: 2})
    assert not uniques.reached.holds(partition, {0: 11})


async def test_what_is_not_flushed_is_not_held_after_a_rebalance(make_uniques: MakeUniques) -> None:
    uniques = make_uniques()
    partition = uniques.partition_of("")
    uniques.merge(partition, [*records("ab"), users_mark(0, 10)])
    uniques.forget()
    assert not uniques.reached.holds(partition, {0: 1})


def test_marks_of_a_zombie_lower_nothing(make_uniques: MakeUniques) -> None:
    merge = make_uniques().merge_values
    assert decode_row(merge(encode_row({0: 9, 1: 2}), encode_row({0: 4, 1: 3, 2: 1}))) == {
        0: 9,
        1: 3,
        2: 1,
    }
