"""The rules about users: the same verdicts, however much of the past comes again."""

from __future__ import annotations

import copy
import random
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from app.counting.rules import BOT_MEMORY, Accepted, Clicks, Memory, judge, needs
from app.events.batches import Slice, Verdicts
from app.events.event import Event
from tests.support.batches import slice_of

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
LIMIT = 10


def view(user: str | None = "u", **ago: float) -> Event:
    return Event(type="VIEW", url="/a", user_id=user, timestamp=NOON - timedelta(**ago))


def click(user: str = "u", ad: str | None = "34") -> Event:
    return Event(type="AdClick", user_id=user, ad_id=ad, url="a.net", timestamp=NOON)


def arrived(events: Iterable[Event], first: int = 0, late_s: float = 1.0) -> Slice:
    """Return events as they arrive, all at once, so long after noon."""
    events = list(events)
    return slice_of(events, first=first, received=[NOON.timestamp() + late_s] * len(events))


def offsets(judged: Verdicts) -> tuple[list[int], list[int], list[int]]:
    return (
        list(judged.human.offsets),
        list(judged.bot.offsets),
        list(judged.counted_click.offsets),
    )


def test_the_first_page_views_of_a_user_and_timestamp_count() -> None:
    part = arrived([view() for _ in range(13)], first=100)
    human, bot, _ = offsets(judge(part, Memory(), LIMIT))
    assert (human, bot) == ([*range(100, 110)], [110, 111, 112])


@pytest.mark.parametrize(
    ("event", "late_s"),
    [
        (view(None), 1.0),
        (view(), 0.0),  # the time of the record: nobody named it
        (view(), float(BOT_MEMORY)),
        (Event(type="CLICK", user_id="u", timestamp=NOON), 1.0),
    ],
)
def test_what_is_never_a_bot(event: Event, late_s: float) -> None:
    part = arrived([event] * 30, late_s=late_s)
    assert judge(part, Memory(), LIMIT) == Verdicts(
        part, Slice([], [], [], []), Slice([], [], [], [])
    )


@pytest.mark.parametrize("late_s", [BOT_MEMORY - 1e-6, -3600.0, 1e-6])
def test_just_before_the_memory_ends_and_in_the_future_it_is_judged(late_s: float) -> None:
    part = arrived([view()] * 12, late_s=late_s)
    assert len(judge(part, Memory(), LIMIT).bot.offsets) == 2


def test_users_and_microseconds_are_told_apart() -> None:
    events = [view(user, microseconds=n) for n in range(3) for user in ("a", "b")] * 5
    assert not judge(arrived(events), Memory(), LIMIT).bot.offsets
    assert len(judge(arrived(events * 3), Memory(), LIMIT).bot.offsets) == 5 * 6


@pytest.mark.parametrize("kind", ["page_view", "PageView", "VIEW"])
def test_all_kinds_of_page_views_are_counted_together(kind: str) -> None:
    other = Event(type=kind, user_id="u", timestamp=NOON)
    part = arrived([view() for _ in range(9)] + [other, other])
    assert list(judge(part, Memory(), LIMIT).bot.offsets) == [10]


def test_each_third_ad_click_of_a_user_counts() -> None:
    events = [click("a"), click("b"), click("a", None)] * 7
    judged = judge(arrived(events), Memory(), LIMIT)
    counted = Counter(event.user_id for event in judged.counted_click.events)
    assert counted == {"a": 2, "b": 2}
    assert list(judged.counted_click.offsets) == [6, 7, 15, 16]
    assert len(judged.human.events) == len(events)


def test_clicks_are_remembered_by_where_batches_ended() -> None:
    memory = Memory()
    for first in range(0, 20, 4):
        judge(arrived([click()] * 4, first=first), memory, LIMIT)
    memory.clicks["u"].settle(9)
    assert memory.clicks["u"] == Clicks([8, 12, 16, 20], [8, 12, 16, 20])
    again = judge(arrived([click()] * 5, first=8), memory, LIMIT)
    assert list(again.counted_click.offsets) == [8, 11]


def test_what_a_user_with_very_many_clicks_leaves_is_small() -> None:
    memory, counted = Memory(), 0
    for first in range(0, 300_000, 20_000):
        judged = judge(arrived([click()] * 20_000, first=first), memory, LIMIT)
        counted += len(judged.counted_click.offsets)
    assert counted == 100_000
    assert len(memory.clicks["u"].positions) == 300_000 // 20_000


def test_clicks_that_come_again_from_far_below_fall_in_step_with_what_is_known() -> None:
    """Committed offsets that were lost, after the log has lost its beginning."""
    memory = Memory()
    judge(arrived([click()] * 100), memory, LIMIT)
    memory.clicks["u"].settle(100)
    judge(arrived([click()] * 10, first=50), memory, LIMIT)
    again = judge(arrived([click()] * 50, first=60), memory, LIMIT)
    assert [n for n in again.counted_click.offsets if n >= 100] == [101, 104, 107]


def log(dice: random.Random, events: int) -> list[tuple[Event, float]]:
    """Return events with the moments they arrived; time runs back and forth."""
    made = []
    for number in range(events):
        user = dice.choice("abc")
        ago = timedelta(seconds=dice.choice([0, 1, 1, 90_000]), microseconds=dice.randrange(2))
        event = dice.choice(
            [
                Event(type="VIEW", user_id=user, timestamp=NOON - ago),
                click(user),
                Event(type="CLICK", user_id=user, timestamp=NOON),
            ]
        )
        made.append((event, NOON.timestamp() + number // 3))
    return made


def part_of(made: list[tuple[Event, float]], begin: int, end: int) -> Slice:
    some = made[begin:end]
    return slice_of([e for e, _ in some], first=begin, received=[at for _, at in some])


@pytest.mark.parametrize("seed", range(30))
def test_replays_with_a_memory_ahead_or_behind_judge_the_same(seed: int) -> None:
    """A crash leaves any part of what was not committed, of each second and user on its own."""
    dice = random.Random(seed)
    made = log(dice, 600)
    truth = offsets(judge(part_of(made, 0, 600), Memory(), 4))
    memory, committed, at = Memory(), 0, 0
    while at < 600:
        end = min(600, at + dice.randrange(1, 60))
        judged = judge(part_of(made, at, end), memory, 4)
        for found, expected in zip(offsets(judged), truth, strict=True):
            assert found == [offset for offset in expected if at <= offset < end]
        at = end
        if dice.random() < 0.3:
            settle(memory, committed)
        if dice.random() < 0.2:
            committed = at
            kept = copy.deepcopy(memory)
        elif dice.random() < 0.3 and committed:
            memory, at = crashed(dice, kept, memory), committed


def settle(memory: Memory, committed: int) -> None:
    for clicks in memory.clicks.values():
        clicks.settle(committed)


def crashed(dice: random.Random, kept: Memory, ahead: Memory) -> Memory:
    """Return what a crash may leave: all that is committed, and some of what came after it."""
    left = Memory(copy.deepcopy(kept.views), copy.deepcopy(kept.clicks))
    for second, accepted in ahead.views.items():
        views = list(accepted.first.values())
        views += [(*key, offset) for key, known in accepted.more.items() for offset in known]
        dice.shuffle(views)
        for view in views:
            if dice.random() < 0.5:
                left.views.setdefault(second, Accepted()).add(view, 1000)
    for user, clicks in ahead.clicks.items():
        if dice.random() < 0.5:
            left.clicks[user] = copy.deepcopy(clicks)
    return left


def test_what_came_again_is_written_again() -> None:
    """The files of RocksDB may hold it although the changelog does not."""
    memory, part = Memory(), arrived([view(), click(), view()] * 10)
    judge(part, memory, LIMIT)
    fresh, clicked = memory.fresh, memory.clicked
    memory.fresh, memory.clicked = {}, set()
    judge(part, memory, LIMIT)
    assert (memory.fresh, memory.clicked) == (fresh, clicked)
    assert [offset for _, _, offset in fresh[int(NOON.timestamp())]] == [
        0, 2, 3, 5, 6, 8, 9, 11, 12, 14
    ]  # fmt: skip


def test_what_a_slice_needs_is_named_beforehand() -> None:
    found = needs(arrived([view("a"), view("b", seconds=5), click("c"), click("d", None)]))
    noon = int(NOON.timestamp())
    assert (found.views, found.clicks, found.users) == ({noon: [0], noon - 5: [1]}, [2], {"c"})
