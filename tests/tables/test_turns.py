"""Work that is cut into steps, so that others have their turn."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise

import pytest

import tables.turns
from tables.turns import STEP_FIRST, STEP_LEAST, STEP_S, Steps, in_buckets


class Clock:
    """Seconds that pass when the work says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(tables.turns, "thread_time", clock)
    return clock


def work(steps: Steps, clock: Clock, items: range, cost_s: float) -> list[float]:
    """Do it; return what each step took."""
    took, seen = [], list[int]()
    for part in steps.cut(items):
        with steps.step(part):
            clock.now += len(part) * cost_s
        took.append(len(part) * cost_s)
        seen += part
    assert seen == list(items)
    return took


def test_steps_take_about_as_long_as_they_may_whatever_an_item_costs(clock: Clock) -> None:
    for cost_s in (1e-6, 1e-5, 1e-4):
        took = work(Steps(), clock, range(100_000), cost_s)
        assert max(took) <= max(STEP_S, STEP_FIRST * cost_s) * 1.01
        assert max(took) >= STEP_S / 2


def test_work_that_gets_dearer_is_cut_smaller_from_the_next_step_on(clock: Clock) -> None:
    steps = Steps()
    work(steps, clock, range(50_000), 1e-6)
    took = work(steps, clock, range(50_000), 1e-4)
    assert max(took[1:]) <= STEP_S * 1.01
    assert len(next(steps.cut(range(1000)))) <= STEP_S / 1e-4


def test_a_step_has_some_items_even_where_one_takes_too_long(clock: Clock) -> None:
    steps = Steps()
    work(steps, clock, range(1000), 1.0)
    assert len(next(steps.cut(range(1000)))) == STEP_LEAST


@pytest.mark.parametrize("left_after", [1, 3, 99])
async def test_steps_end_where_there_is_nothing_to_go_on_for(left_after: int) -> None:
    asked, items, seen = 0, range(STEP_FIRST * 100), list[int]()

    def go_on() -> bool:
        nonlocal asked
        asked += 1
        return asked <= left_after

    async for part in Steps().over(items, go_on):
        seen += part
    whole = left_after == 99
    assert seen == list(items[: len(seen)])
    assert (len(seen) == len(items)) == whole
    assert asked == left_after + 1 or whole


@pytest.mark.parametrize("count", [0, 1, 3000, 3001, 60_000])
async def test_buckets_in_their_order_hold_everything_in_order(count: int) -> None:
    rows = [f"{random.Random(n).random()}".encode() for n in range(count)]
    keys = [row + bytes((source,)) for row in rows for source in range(2)]
    buckets = await in_buckets(keys, 3000, lambda key: key[:-1])
    assert [key for bucket in buckets for key in sorted(bucket)] == sorted(keys)
    assert max(map(len, buckets)) <= 2 * 3000
    for before, after in pairwise(buckets):
        assert not {key[:-1] for key in before} & {key[:-1] for key in after}, "a row is in one"


async def test_others_run_while_much_is_put_into_buckets() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    await in_buckets([n.to_bytes(4, "big") for n in range(100_000)], 3000, bytes)
    beside.cancel()
    assert turns >= 5
