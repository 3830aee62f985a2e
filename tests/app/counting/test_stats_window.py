"""Windows of the statistics: arguments, and the buckets that make a window up."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from app.counting.spec import DAY, HOUR, MINUTE
from app.counting.stats_window import (
    LEVELS,
    LONGEST_S,
    Month,
    Window,
    parse_at,
    parse_month,
    parse_window,
    split,
)
from app.errors import BadRequestError, CounterError, OutsideRetentionError

NOW = int(datetime(2026, 11, 24, 12, 34, 56, tzinfo=UTC).timestamp())
NOON = NOW - NOW % HOUR


def runs_of(window: Window, now: float = NOW) -> list[tuple[str, int, int]]:
    return [(run.level.name, run.begin - NOON, run.end - NOON) for run in split(window, now)]


@pytest.mark.parametrize(
    ("at", "size", "expected"),
    [
        (0, 1, [("s", 0, 1)]),
        (59, 60, [("m", 0, 60)]),
        (59, 61, [("s", -1, 0), ("m", 0, 60)]),
        (60, 60, [("s", 1, 61)]),
        (299, 300, [("m", 0, 300)]),
        (300, 300, [("s", 1, 60), ("m", 60, 300), ("s", 300, 301)]),
        (3599, 3600, [("h", 0, 3600)]),
        (
            2096,
            2 * HOUR,
            [
                ("s", -5103, -5100),
                ("m", -5100, -3600),
                ("h", -3600, 0),
                ("m", 0, 2040),
                ("s", 2040, 2097),
            ],
        ),
        # seconds are forgotten after two hours, minutes after two days: edges move outwards
        (-9000 - 1, 300, [("m", -9300, -9000)]),
        (-9000, 300, [("m", -9300, -8940)]),
        (-9000, 1, [("m", -9000, -8940)]),
        (-3 * DAY, 1, [("h", -3 * DAY, -3 * DAY + HOUR)]),
        (-3 * DAY - 1, 2 * HOUR, [("h", -3 * DAY - 2 * HOUR, -3 * DAY)]),
    ],
)
def test_a_window_is_made_of_the_largest_buckets_that_fit(
    at: int, size: int, expected: list[tuple[str, int, int]]
) -> None:
    assert runs_of(Window(NOON + at, size)) == expected


@pytest.mark.parametrize("seed", range(200))
def test_runs_follow_each_other_are_kept_and_hold_the_whole_window(seed: int) -> None:
    dice = random.Random(seed)
    age = dice.choice([10, HOUR, 3 * HOUR, DAY, 3 * DAY, 30 * DAY])
    window = Window(NOW - dice.randrange(age), dice.randrange(1, dice.choice([90, DAY, LONGEST_S])))
    runs = split(window, NOW)
    assert runs[0].begin <= window.begin
    assert window.end <= runs[-1].end
    assert all(before.end == after.begin for before, after in pairwise(runs))
    for run in runs:
        assert not run.begin % run.level.span
        assert not run.end % run.level.span
        assert run.begin < run.end
        assert run.level.has(run.begin, NOW)
    for edge, outer in ((window.begin, runs[0]), (window.end - 1, runs[-1])):
        # moved outwards by less than a bucket of the finest level that was kept there
        finest = next(level for level in LEVELS if level.has(outer.begin, NOW))
        off = window.begin - outer.begin if edge == window.begin else outer.end - window.end
        assert off < finest.span
    buckets = [run for run in runs if run.level.span < HOUR]
    assert sum((run.end - run.begin) // run.level.span for run in buckets) < 4 * 60 + MINUTE


def test_what_is_not_kept_any_more_is_refused() -> None:
    split(Window(NOW - 31 * DAY, LONGEST_S - HOUR), NOW)
    with pytest.raises(OutsideRetentionError, match="62 days, since 2026-09-23T12:34:56Z"):
        split(Window(NOW - 31 * DAY, LONGEST_S + HOUR), NOW)


def test_arguments_of_a_window() -> None:
    assert parse_window({}, NOW + 0.9, default_s=300) == (NOW, 300)
    assert parse_window({"window": "60", "at": "2026-11-24T12:00:00.5Z"}, NOW, default_s=300) == (
        NOON,
        60,
    )
    assert parse_window({"at": "2026-11-24T13:00:00 01:00"}, NOW, default_s=1).at == NOON
    assert parse_at({"at": str(NOW + HOUR)}, NOW) == NOW + HOUR


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"window": "0"}, "window=0 is not a number of seconds from 1 to 2678400"),
        ({"window": "-5"}, "window=-5 is not a number"),
        ({"window": "5m"}, "window=5m is not a number"),
        ({"window": ""}, "window= is not a number"),
        ({"window": "٣"}, "is not a number"),
        ({"window": "9" * 400}, "is not a number"),
        ({"window": "2678401"}, "the longest is 2678400 s, 31 d"),
        ({"at": "soon"}, "at"),
        ({"at": "nan"}, "at"),
        ({"at": "2026-11-26T12:00:00Z"}, "at=2026-11-26T12:00:00Z is in the future"),
        ({"at": "9999-12-31T23:59:59Z"}, "at"),
    ],
)
def test_bad_arguments_are_named(args: dict[str, str], message: str) -> None:
    with pytest.raises(CounterError, match=message) as raised:
        parse_window(args, NOW, default_s=300)
    assert raised.value.status == 400


def test_months() -> None:
    month = parse_month({}, NOW)
    assert (str(month), month.begin, month.end) == ("2026-11", 1793491200, 1796083200)
    assert str(parse_month({"month": "2026-12"}, NOW)) == "2026-12"
    december = Month(2026, 12)
    assert (Month.of(december.end), Month.of(december.end - 1)) == ((2027, 1), december)


@pytest.mark.parametrize("text", ["", "2026", "2026-13", "2026-00", "26-11", "2026-1", "1969-12"])
def test_a_malformed_month_is_refused(text: str) -> None:
    with pytest.raises(BadRequestError, match="write it like 2026-11"):
        parse_month({"month": text}, NOW)
