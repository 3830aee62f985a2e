"""Hours and days of time zones: 23, 24 and 25 hours, midnights that do not exist."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from app.counting.calendar import UTC, Buckets, buckets_of, day_begin, local_text, zone_of
from app.counting.spec import DAY, HOUR, MINUTE
from app.errors import BadRequestError
from tables.turns import at_once


def at(text: str) -> int:
    """Return a moment as seconds since 1970."""
    return int(datetime.fromisoformat(text).timestamp())


@pytest.mark.parametrize(
    ("zone", "day", "begins", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 28), "2026-03-27T23:00:00Z", 24),
        ("Europe/Berlin", date(2026, 3, 29), "2026-03-28T23:00:00Z", 23),
        ("Europe/Berlin", date(2026, 10, 25), "2026-10-24T22:00:00Z", 25),
        ("America/New_York", date(2026, 11, 1), "2026-11-01T04:00:00Z", 25),
        # Midnight was skipped: the day began at 01:00.
        ("America/Sao_Paulo", date(2018, 11, 4), "2018-11-04T03:00:00Z", 23),
        # Midnight came twice: the day began at the first.
        ("America/Havana", date(2026, 11, 1), "2026-11-01T04:00:00Z", 25),
        ("Asia/Kolkata", date(2026, 1, 1), "2025-12-31T18:30:00Z", 24),
        ("UTC", date(2026, 3, 29), "2026-03-29T00:00:00Z", 24),
    ],
)
def test_a_day_has_the_hours_that_its_zone_gives_it(
    zone: str, day: date, begins: str, hours: int
) -> None:
    days, found = Buckets("1d", zone_of(zone)), zone_of(zone)
    begin = day_begin(day, found)
    assert begin == at(begins)
    end = days.after(begin)
    assert end - begin == hours * HOUR
    assert {days.start_of(begin), days.start_of(begin + DAY // 2), days.start_of(end - 1)} == {
        begin
    }
    assert days.start_of(begin - 1) < begin
    by_hour, start = Buckets("1h", found), begin
    for _ in range(hours):
        assert by_hour.start_of(start + HOUR - 1) == start
        assert by_hour.after(start) == start + HOUR
        start += HOUR
    assert start == end


def test_windows_add_up_to_days_and_none_is_lost() -> None:
    zone = ZoneInfo("Europe/Berlin")
    begin, end = day_begin(date(2026, 3, 28), zone), day_begin(date(2026, 3, 31), zone)
    windows = {start: {"VIEW": 1} for start in range(begin, end, HOUR)}
    windows[begin]["CLICK"] = 5
    assert list(at_once(Buckets("1d", zone).add_up(windows, HOUR)).values()) == [
        {"VIEW": 24, "CLICK": 5},
        {"VIEW": 23},
        {"VIEW": 24},
    ]


def test_the_hour_that_comes_twice_is_two_buckets() -> None:
    zone = ZoneInfo("Europe/Berlin")
    first, second = at("2026-10-25T00:00:00Z"), at("2026-10-25T01:00:00Z")
    windows = {first: {"a": 1}, second + MINUTE: {"a": 2}}
    added = at_once(Buckets("1h", zone).add_up(windows, MINUTE))
    assert {local_text(start, zone): labels for start, labels in added.items()} == {
        "2026-10-25T02:00:00+02:00": {"a": 1},
        "2026-10-25T02:00:00+01:00": {"a": 2},
    }


@pytest.mark.parametrize(
    ("buckets", "window", "complaint"),
    [
        (Buckets("1h"), DAY, "finer than the windows"),
        (Buckets("1d", ZoneInfo("Asia/Kolkata")), HOUR, "cannot be split"),
        (Buckets("1h", ZoneInfo("Asia/Kolkata")), HOUR, "cannot be split"),
        (Buckets("1d", ZoneInfo("Europe/Berlin")), DAY, "cannot be split"),
        # Only the buckets that are asked for count: half an hour of daylight saving.
        (Buckets("1d", ZoneInfo("Australia/Lord_Howe")), HOUR, "cannot be split"),
    ],
)
def test_windows_that_do_not_make_up_the_buckets_are_refused(
    buckets: Buckets, window: int, complaint: str
) -> None:
    begin = buckets.start_of(at("2026-06-01T12:00:00Z"))
    with pytest.raises(BadRequestError, match=complaint):
        buckets.check(window, begin, begin + 3 * DAY)


def test_windows_across_a_midnight_are_never_added_up() -> None:
    days = Buckets("1d", ZoneInfo("Asia/Kolkata"))
    with pytest.raises(BadRequestError, match="cannot be split"):
        at_once(days.add_up({at("2026-06-01T12:00:00Z"): {"a": 1}}, HOUR))


def test_smaller_windows_can_be_cut_anywhere() -> None:
    days = Buckets("1d", ZoneInfo("Asia/Kolkata"))
    begin = days.start_of(at("2026-06-01T12:00:00Z"))
    days.check(MINUTE, begin, begin + 3 * DAY)
    Buckets("1d", ZoneInfo("Europe/Berlin")).check(HOUR, at("2026-05-31T22:00:00Z"), begin + DAY)


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "Europe", "a" * 5000, "\0"])
def test_what_is_no_zone_is_named(name: str) -> None:
    with pytest.raises(BadRequestError, match="is not a time zone"):
        zone_of(name)


@pytest.mark.parametrize("args", [{"tz": "Europe/Berlin"}, {"by": "2h"}, {"by": ""}])
def test_arguments_that_make_no_sense_are_refused(args: dict[str, str]) -> None:
    with pytest.raises(BadRequestError):
        buckets_of(args)


def test_without_by_there_are_no_buckets() -> None:
    assert buckets_of({}) is None
    assert buckets_of({"by": "1d"}) == Buckets("1d", UTC)
