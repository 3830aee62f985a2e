"""When the sampler ticks."""

from __future__ import annotations

import json
import math
import time

import pytest

from tests.support.waiting import wait_until
from web.pages.feed import Feed
from web.pages.sampler import Sampler, next_due

EARLY_MS = 20  # that a sleep may end before its time


@pytest.mark.parametrize(
    ("due", "now", "then"),
    [
        (100.0, 100.0, 101.0),
        (100.0, 99.999, 101.0),  # woken early: the same second is not ticked again
        (100.0, 100.7, 101.0),
        (100.0, 105.2, 106.0),  # what was missed is not made up for
        (5000.0, 1400.3, 1401.0),  # the clock was set back by an hour, which nobody waits for
    ],
)
def test_each_second_is_ticked_at_most_once(due: float, now: float, then: float) -> None:
    assert next_due(due, now) == then


async def test_the_history_begins_before_a_page_is_open() -> None:
    """A point for each second, also of those in which nobody looks."""
    feed, made = Feed(), list[int]()

    def point() -> dict[str, object]:
        made.append(len(made))
        return {"number": len(made)}

    sampler = Sampler(feed, point)
    first_due_s = math.ceil(time.time())
    sampler.start()
    try:
        await wait_until(lambda: len(made), lambda number: number >= 3, deadline_s=30)
        assert not feed.followers
        first = (await anext(feed.follow())).decode()
    finally:
        await sampler.keeper.stop()
    points = [
        json.loads(line.removeprefix("data: "))
        for line in first.splitlines()
        if line.startswith("data: ")
    ]
    assert [point["number"] for point in points][:3] == [1, 2, 3]
    # A late tick may come right before the next one, but none more than seconds have begun.
    begun = [(point["at"] + EARLY_MS) // 1000 - first_due_s + 1 for point in points]
    assert all(number <= most for number, most in enumerate(begun, 1)), begun
