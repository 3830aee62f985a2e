"""The row that says how far a partition is read: also where no record said it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from app.counting.counters import Counters
from app.counting.row_keys import mark_of
from tables.outcome_row import LOST, OUTCOMES_ROW
from tables.partials import Partials
from tables.unique_deltas import UniqueDeltas
from tests.tables.conftest import SentRecords
from tests.tables.test_partials import absorb

MakePartials = Callable[[], Partials]


async def test_a_position_that_no_record_said_is_in_a_row_before_it_is_committed(
    make_partials: MakePartials, counters: Counters, sent: SentRecords
) -> None:
    partials = make_partials()
    UniqueDeltas(partials, "uniques", 4)
    for position, begin in ((57, 57), (70, 60)):
        await partials.keep_position(0, position)
        partials.forget()
        assert partials.position(0) == position
        for topic in ("counts", "uniques"):
            for target in range(4):
                assert mark_of(0) in sent.keys(topic, target), "who waits for it is answered"
        absorb(partials, counters, begin, 60)
        await partials.flush()
        sent.batches.clear()
        await partials.keep_position(0, position)
        assert sent.batches == [], "it is there"


async def test_a_position_is_in_a_row_although_what_follows_it_waits_for_its_flush(
    make_partials: MakePartials, counters: Counters, sent: SentRecords
) -> None:
    partials = make_partials()
    for begin, position, is_whole in ((57, 60, True), (70, 80, False)):
        absorb(partials, counters, begin, position)
        if is_whole:  # else the rest of its batch is still to come
            partials.absorbed(0, position, lambda: None)
        await partials.keep_position(0, begin)
        assert OUTCOMES_ROW in sent.keys(partials.changelog_topic_name, 0)
        partials.forget()
        assert (partials.position(0) or 0) >= begin
        sent.batches.clear()


async def test_what_follows_the_last_record_of_a_fetch_is_read_too(
    make_partials: MakePartials, counters: Counters
) -> None:
    partials = make_partials()
    absorb(partials, counters, 0, 6)
    partials.absorbed(0, 9, lambda: None)
    await partials.flush()
    partials.forget()
    assert partials.position(0) == 9


async def test_a_position_is_kept_beside_a_flush_that_is_at_work(
    make_partials: MakePartials, counters: Counters
) -> None:
    partials, happened = make_partials(), list[str]()

    class Passenger:
        async def flush(self, partition: int) -> None:
            await asyncio.sleep(0)
            happened.append(f"flush of {partition}")

        def forget(self) -> None:
            pass

    partials.carry(Passenger())
    absorb(partials, counters, 0, 6)
    flushing = asyncio.create_task(partials.flush())
    await asyncio.sleep(0)
    await partials.keep_position(0, 9)
    assert flushing.done()
    assert happened == ["flush of 0"] * 2
    partials.forget()
    assert partials.position(0) == 9


async def test_what_is_lost_is_in_the_next_flush_although_no_record_comes(
    make_partials: MakePartials, sent: SentRecords
) -> None:
    partials = make_partials()
    await partials.keep_position(0, 40)
    for _ in range(2):
        partials.lose(0, 40, 150)
    await partials.flush()
    partials.forget()
    found: Any = partials.outcomes(0)
    assert found == (150, {LOST: 110})
    assert OUTCOMES_ROW in sent.keys(partials.changelog_topic_name, 0)
