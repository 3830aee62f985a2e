"""Answers that are shared by all who ask meanwhile, and given again for a moment."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import pytest

import web.query.reuse
from app.errors import UnavailableError
from tests.support.waiting import wait_until
from web.query.least import Least, least
from web.query.reuse import AT_ONCE, Reuse


class Clock:
    """Time as a test says."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(web.query.reuse, "monotonic", clock)
    return clock


async def test_an_answer_is_given_again_for_ten_times_as_long_as_it_took(clock: Clock) -> None:
    numbers = itertools.count()

    async def make() -> int:
        clock.now += 0.5
        return next(numbers)

    reuse = Reuse[int](most_s=60)
    assert [await reuse.get("a", make) for _ in range(3)] == [0, 0, 0]
    assert await reuse.get("b", make) == 1
    clock.now += 4.9  # of b; a is 5.4 s old
    assert [await reuse.get("b", make), await reuse.get("a", make)] == [1, 2]
    short = Reuse[int](most_s=1)
    assert await short.get("a", make) == 3
    clock.now += 1.1
    assert await short.get("a", make) == 4


async def test_all_who_ask_meanwhile_wait_for_one_and_none_stops_it() -> None:
    go_on, made = asyncio.Event(), itertools.count()

    async def make() -> int:
        await go_on.wait()
        return next(made)

    reuse = Reuse[int](most_s=60)
    asking = [asyncio.create_task(reuse.get("a", make)) for _ in range(3)]
    await asyncio.sleep(0)
    asking.pop().cancel()
    go_on.set()
    assert await asyncio.gather(*asking) == [0, 0]


async def test_a_failure_is_not_kept(clock: Clock) -> None:
    async def fail() -> int:
        clock.now += 1
        raise ValueError

    async def make() -> int:
        return 1

    reuse = Reuse[int](most_s=60)
    with pytest.raises(ValueError):  # noqa: PT011
        await reuse.get("a", fail)
    clock.now += 0.001
    assert await reuse.get("a", make) == 1


async def test_too_many_different_questions_at_once_are_turned_away() -> None:
    go_on = asyncio.Event()

    def making(number: int) -> Callable[[], asyncio.Future[int]]:
        async def make() -> int:
            await go_on.wait()
            return number

        return lambda: asyncio.ensure_future(make())

    reuse = Reuse[int](most_s=60)
    asking = [asyncio.create_task(reuse.get(n, making(n))) for n in range(AT_ONCE)]
    await wait_until(lambda: len(reuse), AT_ONCE)
    with pytest.raises(UnavailableError):
        await reuse.get("more", making(99))
    least.set(Least({}, asyncio.get_running_loop().time() + 60, 60))
    patient = asyncio.create_task(reuse.get("more", making(99)))
    await asyncio.sleep(0)
    assert len(reuse) == AT_ONCE
    go_on.set()
    assert await asyncio.gather(*asking, patient) == [*range(AT_ONCE), 99]
