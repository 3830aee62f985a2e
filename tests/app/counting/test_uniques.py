"""Distinct users: which rows events belong to, and what their sketches say."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime

import pytest

from app.counting.spec import DAY, HOUR, MINUTE
from app.counting.stats_window import Month
from app.counting.uniques import (
    ACTIVE_USERS,
    AD_VISITORS,
    AD_VISITORS_ALL,
    LEVELS,
    MONTHLY,
    Accumulator,
    SketchRow,
    Union,
    buckets_of,
    decode_sketch,
    expired_bounds,
)
from app.events.batches import Slice
from app.events.derived import AD_CLICK, AD_IMPRESSION
from app.events.event import Event
from tests.support.batches import slice_of

NOW = int(datetime(2026, 11, 24, 12, 34, 56, tzinfo=UTC).timestamp())
NOVEMBER = Month(2026, 11).begin


def event(user: str | None, ago: int = 0, **fields: str) -> Event:
    fields = {"type": "VIEW"} | fields
    return Event(user_id=user, timestamp=datetime.fromtimestamp(NOW - ago, UTC), **fields)  # type: ignore[arg-type]


def users_by_row(*batches: Iterable[Event]) -> dict[SketchRow, int]:
    accumulator = Accumulator()
    for batch in batches:
        accumulator.note(slice_of(batch), NOW)
    return {
        SketchRow.unpack(row): Union(decode_sketch(sketch)).estimate().users
        for row, sketch in accumulator.take().items()
    }


def test_a_user_is_counted_once_in_the_second_of_the_events() -> None:
    found = users_by_row([event("a"), event("b"), event("a")], [event("a"), event("a", ago=1)])
    assert found == {SketchRow(ACTIVE_USERS, 0, NOW): 2, SketchRow(ACTIVE_USERS, 0, NOW - 1): 1}


@pytest.mark.parametrize(
    ("ago", "level", "span"),
    [
        (2 * HOUR - 1, 0, 1),
        (2 * HOUR + 1, 1, MINUTE),
        (2 * DAY - MINUTE, 1, MINUTE),
        (2 * DAY + MINUTE, 2, HOUR),
        (62 * DAY - HOUR, 2, HOUR),
        (62 * DAY + HOUR, 3, DAY),
    ],
)
def test_an_event_that_comes_late_is_in_the_finest_bucket_that_is_kept(
    ago: int, level: int, span: int
) -> None:
    second = NOW - ago
    assert users_by_row([event("a", ago)]) == {
        SketchRow(ACTIVE_USERS, level, second - second % span): 1
    }


def test_events_of_all_ages_in_one_batch_go_into_their_buckets() -> None:
    ages = [0, 2 * HOUR + 5, 2 * HOUR + 6, 3 * DAY, 3 * DAY + 1, 62 * DAY + HOUR, 99 * DAY]
    found = users_by_row([event(str(age), age) for age in ages])
    assert sorted((row.level, users) for row, users in found.items()) == [
        (0, 1),
        (1, 2),
        (2, 2),
        (3, 1),
    ]
    for row in found:
        assert LEVELS[row.level].has(row.start, NOW)
        assert not row.start % LEVELS[row.level].span


@pytest.mark.parametrize("now", [NOW, NOW + 0.5, NOW - NOW % DAY, NOW - NOW % DAY + 0.25])
def test_the_oldest_bucket_is_kept_and_the_one_before_it_is_not(now: float) -> None:
    for level in LEVELS:
        assert level.has(level.oldest(now), now)
        assert not level.has(level.oldest(now) - 1, now)


def test_what_no_bucket_keeps_is_left_out() -> None:
    assert users_by_row([event("a", 64 * DAY)]) == {}


def test_an_event_without_a_user_is_nobodys() -> None:
    assert users_by_row([event(None), event("")]) == {}


def test_visitors_are_counted_by_ad_and_month_for_good() -> None:
    day = 40 * DAY  # in October
    found = users_by_row(
        [event(user, type=AD_IMPRESSION, ad_id="34") for user in "abca"]
        + [event("a", type=AD_IMPRESSION, ad_id="35"), event("z", type=AD_CLICK, ad_id="34")]
        + [event("d", day, type=AD_IMPRESSION, ad_id="34"), event("e", type=AD_IMPRESSION)]
        + [event(None, type=AD_IMPRESSION, ad_id="36")]
    )
    october = Month(2026, 10).begin
    assert {row: users for row, users in found.items() if row.level == MONTHLY} == {
        SketchRow(AD_VISITORS, MONTHLY, NOVEMBER, "34"): 3,
        SketchRow(AD_VISITORS, MONTHLY, NOVEMBER, "35"): 1,
        SketchRow(AD_VISITORS, MONTHLY, october, "34"): 1,
        SketchRow(AD_VISITORS_ALL, MONTHLY, NOVEMBER): 3,
        SketchRow(AD_VISITORS_ALL, MONTHLY, october): 1,
    }


def test_a_second_belongs_to_its_minute_hour_and_day() -> None:
    starts = [NOW, NOW - NOW % MINUTE, NOW - NOW % HOUR, NOW - NOW % DAY]
    found = [
        SketchRow.unpack(row) for row in buckets_of(SketchRow(ACTIVE_USERS, 0, NOW).pack(), NOW)
    ]
    assert found == [SketchRow(ACTIVE_USERS, level, start) for level, start in enumerate(starts)]
    late = buckets_of(SketchRow(ACTIVE_USERS, 0, NOW).pack(), NOW + 3 * DAY)
    assert [SketchRow.unpack(row).level for row in late] == [2, 3]
    month = SketchRow(AD_VISITORS, MONTHLY, NOVEMBER, "ü/34").pack()
    assert buckets_of(month, NOW + 999 * DAY) == [month]


def test_expired_rows_are_those_that_no_event_is_added_to() -> None:
    expired = list(expired_bounds(NOW))
    for place, level in enumerate(LEVELS):
        begin, end = expired[place]
        first_kept = SketchRow.unpack(end).start
        assert level.has(first_kept, NOW)
        assert not level.has(first_kept - 1, NOW)
        assert begin <= SketchRow(ACTIVE_USERS, place, first_kept - level.span).pack() < end
    month = SketchRow(AD_VISITORS, MONTHLY, 0, "a").pack()
    assert not any(begin <= month < end for begin, end in expired)


def sketches(users: list[str], parts: int, dice: random.Random) -> list[bytes]:
    """Return the sketches of users, each user in one part or in several."""
    split: defaultdict[int, list[Event]] = defaultdict(list)
    for user in users:
        for part in dice.sample(range(parts), dice.randint(1, 2)):
            split[part].append(event(user))
    found: list[bytes] = []
    for events in split.values():
        accumulator = Accumulator()
        accumulator.note(slice_of(events), NOW)
        found += accumulator.take().values()
    return found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("users", [1, 500, 4096, 4097, 30_000])
def test_sketches_in_any_order_and_number_hold_the_same_users(users: int, seed: int) -> None:
    dice = random.Random(seed)
    parts = sketches([f"user {n}" for n in range(users)], 5, dice)
    results = []
    for _ in range(3):
        dice.shuffle(parts)
        merged = Union()
        for part in [*parts, parts[0]]:
            merged = Union(decode_sketch(part), decode_sketch(merged.sketch().serialize()))
        results.append(merged.estimate())
    if users <= 4096:
        assert set(results) == {(users, 0.0)}
    for found, error in results:
        assert abs(found - users) <= 2 * error * users  # four standard deviations
        assert error <= 0.04


def test_the_stated_error_holds_19_times_in_20() -> None:
    held = 0
    for run in range(100):
        accumulator = Accumulator()
        events = [event(f"{run}-{n}") for n in range(20_000)]
        accumulator.note(slice_of(events), NOW)
        (sketch,) = accumulator.take().values()
        users, error = Union(decode_sketch(sketch)).estimate()
        held += abs(users - 20_000) <= error * 20_000
    assert held >= 90


def test_an_empty_batch_is_nothing() -> None:
    accumulator = Accumulator()
    accumulator.note(Slice(), NOW)
    assert len(accumulator) == 0
    assert accumulator.take() == {}
