"""The answers to report queries, byte for byte where a contract gives them."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from io import StringIO

import msgspec
import pytest

from app.counting.calendar import Buckets, zone_of
from app.counting.measures import Measure
from app.counting.spec import DAY, FOREVER, HOUR, MINUTE
from app.counting.uniques import Estimate
from app.errors import BadRequestError, OutsideRetentionError
from app.settings import Settings
from tables.counters import declare
from tables.turns import at_once
from web.stats.answers import (
    Windows,
    bucket_range,
    counters_answer,
    counts_csv,
    counts_json,
    local_report,
    range_of,
    report_json,
    track_json,
)
from web.stats.distinct import distinct_csv
from web.stats.keys import csv_answer

COUNTERS = declare(Settings())
AMOUNT = Measure("sum", "value")
NOW = datetime(2024, 3, 15, 12, 0, 30, tzinfo=UTC).timestamp()


def test_track_shows_click_and_view_even_of_an_unknown_url() -> None:
    assert at_once(track_json("/a", {})) == (
        b'{"url":"/a","events":[{"type":"CLICK","count":0},{"type":"VIEW","count":0}]}'
    )


def test_track_adds_up_windows_and_sorts_types() -> None:
    windows = {0: {"VIEW": 2, "ADD": 1}, HOUR: {"VIEW": 3}}
    assert json.loads(at_once(track_json("/a", windows)))["events"] == [
        {"type": "ADD", "count": 1},
        {"type": "CLICK", "count": 0},
        {"type": "VIEW", "count": 5},
    ]


@pytest.mark.parametrize(
    "found",
    [{}, {0: {"VIEW": 7}}, {5: {"CLICK": 1}, 23: {'a "%b" é\n': 4, "ADD": 1}}],
)
def test_report_shows_each_type_of_the_day_in_each_hour(found: Windows) -> None:
    begin = int(datetime(2021, 12, 3, tzinfo=UTC).timestamp())
    url = 'https://é.example/"%b"?a=%20%s'
    types = sorted({"CLICK", "VIEW", *(name for counts in found.values() for name in counts)})
    hours = [
        {
            "datehour": hour,
            "eventCounts": [{"type": t, "count": found.get(hour, {}).get(t, 0)} for t in types],
        }
        for hour in range(24)
    ]
    windows = {begin + hour * HOUR: counts for hour, counts in found.items()}
    shown = {"url": url, "date": "2021-12-03", "dateHourEventCounts": hours}
    report = report_json(url, date(2021, 12, 3), windows)
    assert at_once(report) == msgspec.json.encode(shown)


def test_counts_of_an_all_time_counter_have_no_windows() -> None:
    all_time = COUNTERS["events_by_url"]
    answer = counts_json(all_time, "/a", {0: {"CLICK": 1}, DAY: {"CLICK": 2}})
    assert at_once(answer) == (
        b'{"counter":"events_by_url","key":"/a","windows":[],"total":{"CLICK":3}}'
    )


def test_counts_list_windows_by_time() -> None:
    spec = replace(COUNTERS["events_by_url_hourly"], name="c")
    answer = counts_json(spec, "/a", {HOUR: {"B": 1, "A": 2}, 0: {"A": 1}})
    assert at_once(answer) == (
        b'{"counter":"c","key":"/a","windows":[{"start":"1970-01-01T00:00:00Z","counts":{"A":1}},'
        b'{"start":"1970-01-01T01:00:00Z","counts":{"A":2,"B":1}}],"total":{"A":3,"B":1}}'
    )


def test_each_declared_counter_is_described() -> None:
    described = counters_answer(COUNTERS)
    assert [c["name"] for c in described] == list(COUNTERS)
    assert all(c["description"] for c in described)


def at(hour: int, minute: int = 0, day: int = 15) -> datetime:
    return datetime(2024, 3, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("begin", "refused"),
    [(at(12, 1, day=13), False), (at(12, 0, day=13), False), (at(11, 59, day=13), True)],
)
def test_a_window_outside_the_retention_is_refused(begin: datetime, refused: bool) -> None:
    spec = COUNTERS["events_by_type_minutely"]
    if refused:
        with pytest.raises(OutsideRetentionError, match="since 2024-03-13T12:01:00Z"):
            range_of(spec, begin, None, NOW)
    else:
        assert range_of(spec, begin, None, NOW)[0] == begin.timestamp()


def test_without_a_begin_the_answer_starts_at_the_oldest_whole_window() -> None:
    spec = COUNTERS["events_by_type_minutely"]
    assert range_of(spec, None, None, NOW)[0] == at(12, 1, day=13).timestamp()
    assert (range_of(spec, None, None, NOW)[0] + 2 * DAY) % MINUTE == 0


def test_an_hour_counter_kept_for_good_answers_from_1970() -> None:
    assert range_of(COUNTERS["events_by_url_hourly"], None, at(12), NOW) == (0, at(12).timestamp())


def test_all_time_has_no_from_and_to() -> None:
    assert range_of(COUNTERS["events_by_url"], None, None, NOW) == (0, FOREVER)
    with pytest.raises(BadRequestError):
        range_of(COUNTERS["events_by_url"], at(1), None, NOW)


def test_to_before_from_is_refused() -> None:
    with pytest.raises(BadRequestError, match="to is before from"):
        range_of(COUNTERS["events_by_url_hourly"], at(2), at(1), NOW)


@pytest.mark.parametrize(
    ("args", "begins", "ends"),
    [
        # Whole buckets, also where from and to lie inside of one.
        ({"from": "2024-03-15T10:30:00Z", "to": "2024-03-15T11:30:00Z"}, at(10), at(12)),
        ({"from": "2024-03-15T10:00:00Z", "to": "2024-03-15T11:00:00Z"}, at(10), at(11)),
        # The oldest minutes that are kept begin at 12:01 of the 13th.
        ({"to": "2024-03-15T11:00:00Z"}, at(13, day=13), at(11)),
        ({"from": "2024-03-13T13:30:00Z", "to": "2024-03-15T11:00:00Z"}, at(13, day=13), at(11)),
    ],
)
def test_buckets_are_asked_for_as_a_whole(
    args: dict[str, str], begins: datetime, ends: datetime
) -> None:
    spec = COUNTERS["events_by_type_minutely"]
    found = bucket_range(spec, Buckets("1h"), args, NOW)
    assert found == (begins.timestamp(), ends.timestamp())


def test_a_bucket_of_which_a_part_is_gone_is_refused() -> None:
    spec, args = COUNTERS["events_by_type_minutely"], {"from": "2024-03-13T12:30:00Z"}
    with pytest.raises(OutsideRetentionError, match="begins at 2024-03-13T13:00:00Z"):
        bucket_range(spec, Buckets("1h"), args, NOW)
    with pytest.raises(BadRequestError, match="leave out by="):
        bucket_range(COUNTERS["events_by_url"], Buckets("1h"), {}, NOW)


def test_csv_has_a_line_per_window_and_label_and_quotes_what_needs_it() -> None:
    windows = {int(at(10).timestamp()): {"b": 2, 'a,"1"': 1}}
    assert at_once(counts_csv(COUNTERS["events_by_url_hourly"], windows)) == (
        b'start,label,count\r\n2024-03-15T10:00:00Z,"a,""1""",1\r\n2024-03-15T10:00:00Z,b,2\r\n'
    )
    of_all_time = at_once(counts_csv(COUNTERS["events_by_url"], {0: {"VIEW": 3}}))
    assert of_all_time == b"start,label,count\r\n,VIEW,3\r\n"


def test_a_report_in_a_zone_says_when_each_hour_begins() -> None:
    zone = zone_of("Europe/Berlin")
    twice = int(datetime(2026, 10, 25, 1, tzinfo=UTC).timestamp())
    found = json.loads(at_once(local_report("/a", date(2026, 10, 25), zone, {twice: {"VIEW": 3}})))
    hours = found["dateHourEventCounts"]
    assert (found["tz"], found["date"], len(hours)) == ("Europe/Berlin", "2026-10-25", 25)
    assert [hour["datehour"] for hour in hours[:5]] == [0, 1, 2, 2, 3]
    assert hours[3] == {
        "datehour": 2,
        "start": "2026-10-25T02:00:00+01:00",
        "eventCounts": [{"type": "CLICK", "count": 0}, {"type": "VIEW", "count": 3}],
    }


def test_a_window_that_begins_in_the_last_second_before_to_is_in_the_range() -> None:
    spec = COUNTERS["page_views_by_page_secondly"]
    now = datetime.now(UTC).replace(microsecond=0)
    half = now.replace(microsecond=500_000)
    _, last = range_of(spec, None, half, now.timestamp() + 10)
    assert last == int(now.timestamp()) + 1
    assert range_of(spec, now, now, now.timestamp() + 10)[1] == int(now.timestamp())
    quarter = now.replace(microsecond=250_000)
    assert range_of(spec, quarter, half, now.timestamp() + 10) == (last - 1, last)


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_csv_holds_no_formula(begin: str) -> None:
    label, spec = f'{begin}HYPERLINK("//x")', replace(COUNTERS["events_by_url"], measure=AMOUNT)
    lines = csv.reader(
        StringIO(at_once(counts_csv(spec, {0: {label: -1_500_000}})).decode(), newline="")
    )
    assert list(lines)[1:] == [["", f"'{label}", "-1.5"]], "a number is none"
    shown = csv_answer(("key", "value"), [(label, -3), (f"a{label}", 2)]).body.decode()
    assert list(csv.reader(StringIO(shown, newline="")))[1:] == [
        [f"'{label}", "-3"],
        [f"a{label}", "2"],
    ]
    found = [(0, {label: Estimate(3, 0.0)})]
    distinct = at_once(distinct_csv(spec, found, None)).decode()
    assert list(csv.reader(StringIO(distinct, newline="")))[1:] == [["", f"'{label}", "3", "0.0"]]
    assert label in json.loads(at_once(counts_json(spec, "", {0: {label: 1}})))["total"]
