"""Every call that answers questions, with every bad value: 400 that says so, or an honest zero.

None is 500, or 503 for want of an answer: nothing that is asked stalls a worker or breaks its link.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass

import aiohttp
import pytest

from tests.support.http import Http

HUGE = "x" * 7000  # a request line has at most 8190 bytes
NOT_UTF8 = "%ff"
BAD, TIME, GONE, NOWHERE = "bad_request", "invalid_timestamp", "outside_retention", "not_found"

YEAR, LONGEST = "31536000", "2678400"
WINDOWS = [
    "",
    "0",
    "-1",
    "abc",
    "1.5",
    "%20300",
    "+5",
    "1e3",
    "%EF%BC%91",
    "%00",
    YEAR,
    "9" * 30,
    HUGE,
]
LIMITS = ["", "0", "-1", "five", "10000000", "9" * 30, "1.0", "%EF%BC%91", "%00", HUGE]
MOMENTS = ["noon", "-1", "nan", "inf", "1e400", "9" * 30, "1_700_000_000", "%00", "%zz", HUGE]
MOMENTS += ["1969-12-31T23:59:59Z", "2024-02-30T00:00:00Z", "9999-12-31T23:59:59-14:00"]
POSITIONS = ["", "here", "0", "0:", "99999:0", "0:-1", "%00", "0:0&wait=11", "0:0&wait=x"]
MONTHS = ["", "2026-13", "2026-00", "1969-12", "2106-01", "2026-1", "2026-11-01", "%00", HUGE]
TWICE = ("{name}=1&{name}=2", "{name}=%ff")

WINDOWED = ("/stats/active_users", "/stats/top_pages", "/stats/bots", "/stats/users/u/sessions")
LIMITED = (
    *("/stats/top_pages", "/stats/bots", "/stats/page_views?website=a", "/alerts", "/rejected"),
    *("/counts/events_by_url/top", "/counts/events_by_type/keys"),
)
TOPS = ("/counts/events_by_type_minutely/top", "/counts/events_by_url_hourly/top")
MONTHLY = ("/stats/ads", "/stats/ads/34")
OF_MINUTES = "/counts/events_by_type_minutely"
RANGED = (OF_MINUTES, "/counts/events_by_url_hourly?key=a", "/counts/ad_events_daily")
CALLS = ("top", "keys")
OF_TABLES = {*LIMITED, *WINDOWED, *MONTHLY, *RANGED}
FAR, LONG_AGO = "2100-01-01T00:00:00Z", "2015-01-01T00:00:00Z"


@dataclass(frozen=True)
class Asked:
    """A call, and the code of its answer, empty for 200."""

    path: str
    code: str = ""
    body: bytes | None = None


def each(paths: Iterable[str], name: str, values: Iterable[str], code: str = "") -> Iterator[Asked]:
    """Yield each value of an argument at each path."""
    for path in paths:
        joined = path + ("&" if "?" in path else "?")
        yield from (Asked(f"{joined}{name}={value}", code) for value in values)


def twice(paths: Iterable[str], name: str) -> Iterator[Asked]:
    """Yield an argument that is there twice, the same one too, and one that is not UTF-8."""
    for path in paths:
        joined = path + ("&" if "?" in path else "?")
        yield Asked(f"{joined}{name}=1&{name}=2", BAD)
        yield Asked(f"{joined}{name}=1&{name}=1", BAD)
        yield Asked(f"{joined}{name}={NOT_UTF8}", BAD)


def posted(path: str, *bodies: tuple[object, str]) -> Iterator[Asked]:
    """Yield bodies as JSON, or as bytes."""
    for body, code in bodies:
        yield Asked(path, code, body if isinstance(body, bytes) else json.dumps(body).encode())


DAY = "2021-12-03"
BAD_URLS: list[object] = [1, None, {}, "x" * 2049, "x" * 60_000]
TOO_LARGE = "body_too_large"
QUESTIONS = [
    *each(WINDOWED, "window", WINDOWS, BAD),
    *each(WINDOWED, "window", ["1", LONGEST]),
    *each(OF_TABLES, "min_position", POSITIONS, BAD),
    *each(OF_TABLES, "min_position", ["0:0", "0:0&wait=0.01"]),
    *each(OF_TABLES, "min_position", ["0:99999999", "0:99999999&wait=0.01"], "behind"),
    *each(LIMITED, "limit", LIMITS, BAD),
    *each(LIMITED, "limit", ["1", "1000"]),
    *each([*WINDOWED, *MONTHLY, "/stats/page_views?website=a"], "at", MOMENTS, TIME),
    *each([*WINDOWED, *MONTHLY, "/stats/page_views?website=a"], "at", [FAR], BAD),
    *each(WINDOWED, "at", [LONG_AGO, "0", "1700000000"], GONE),
    *each([*MONTHLY, "/stats/page_views?website=a"], "at", [LONG_AGO, "0", "1700000000"]),
    *each(MONTHLY, "month", MONTHS, BAD),
    *each(MONTHLY, "month", ["1970-01", "2105-12"]),
    *each(RANGED, "from", MOMENTS, TIME),
    *each(RANGED, "to", MOMENTS, TIME),
    *each(RANGED, "to", [FAR, "9999-12-31T23:59:59Z"]),
    *each(RANGED, "from", [FAR, "9999-12-31T23:59:59Z", "9999-12-31T00:00:00Z&to=253402300799000"]),
    *each(RANGED[1:], "from", ["0", "0&to=9999-12-31T00:00:00Z"]),
    *each([OF_MINUTES], "from", ["0", LONG_AGO], GONE),
    *each([OF_MINUTES], "to", ["0", LONG_AGO], GONE),
    *each(TOPS, "from", MOMENTS, TIME),
    *each(TOPS, "to", MOMENTS, TIME),
    *each(TOPS, "at", MOMENTS, TIME),
    *each(TOPS, "at", [FAR], BAD),
    *each(TOPS[:1], "at", ["0", LONG_AGO], GONE),
    *each(TOPS[1:], "at", ["0", LONG_AGO]),
    *each(TOPS, "to", [FAR, "9999-12-31T23:59:59Z"]),
    *each(TOPS[:1], "from", ["0", LONG_AGO], GONE),
    *each(TOPS[:1], "to", ["0", LONG_AGO], GONE),
    *each(TOPS[1:], "from", ["0", "2024-01-02T00:00:00Z&at=2024-01-03T00:00:00Z", FAR]),
    *each(TOPS[1:], "from", ["2024-01-02T00:00:00Z&to=2024-01-01T00:00:00Z"], BAD),
    *each(TOPS[1:], "from", ["2024-01-02T00:00:00Z&at=2024-01-01T00:00:00Z"], BAD),
    *each(TOPS, "at", [f"1700000000&to={FAR}"], BAD),
    *each(TOPS, "label", ["", "%00", "nobody", "%zz", HUGE]),
    *each([*TOPS, "/counts/events_by_type/keys"], "format", ["xml", "", "CSV"], BAD),
    *each([*TOPS, "/counts/events_by_type/keys"], "format", ["csv", "json"]),
    *each(["/counts/events_by_url/top"], "from", ["0"], BAD),
    *each(["/counts/events_by_url/top"], "at", ["1700000000"], BAD),
    *each(["/counts/events_by_url/keys"], "prefix", ["", "%00", "%zz", "nobody", HUGE]),
    *each(["/counts/events_by_url/keys"], "after", ["", "%00", "%zz", "nobody", HUGE]),
    *twice(["/counts/events_by_url/keys"], "after"),
    *(Asked(f"/counts/{name}/{call}", NOWHERE) for name in ("nothing", "%00") for call in CALLS),
    *(Asked(f"/counts/{name}", NOWHERE) for name in ("events_by_url/what", "events_by_url/top/x")),
    *twice(WINDOWED, "window"),
    *twice(LIMITED, "limit"),
    *twice([*WINDOWED, *MONTHLY, "/stats/page_views?website=a"], "at"),
    *twice(MONTHLY, "month"),
    *twice(RANGED, "to"),
    *twice(["/counts/events_by_url"], "key"),
    *twice(["/stats/page_views"], "website"),
    *twice(RANGED, "by"),
    *each(RANGED[1:2], "by", ["", "2h", "1D", "%00", HUGE], BAD),
    *each(RANGED[1:2], "by", ["1h", "1d", "1d&tz=Europe/Berlin", f"1d&to={FAR}"]),
    *each(RANGED[1:2], "by", ["1d&tz=Asia/Kolkata", "1h&tz=Asia/Kolkata", "1d&tz=No/Where"], BAD),
    *each(RANGED[1:2], "by", ["1d&tz=../../etc/passwd", "1d&tz=%00", f"1d&tz={HUGE}"], BAD),
    *each(RANGED[2:], "by", ["1h", "1d&tz=Europe/Berlin"], BAD),
    *each(RANGED, "tz", ["Europe/Berlin"], BAD),
    *each(RANGED, "format", ["", "xml", "CSV", "%00"], BAD),
    *each(RANGED, "format", ["csv", "json"]),
    *each(["/counts/events_by_url?key=a"], "by", ["1h", "1d"], BAD),
    *each(["/counts/events_by_url"], "key", ["", "%00", "%zz", "nobody", HUGE]),
    *each(["/stats/page_views"], "website", ["", "%00", "%zz", "nobody", "a/b", HUGE]),
    *each(["/stats/active_users", "/stats/ads", "/counters", "/alerts"], "unknown", ["1", ""]),
    Asked("/stats/top_pages?" + "&".join(f"a{n}=1" for n in range(900))),
    *(Asked(f"/stats/users/{user}/sessions") for user in ("%00", "%zz", "a%2fb", "%20", HUGE)),
    *(Asked(f"/stats/ads/{ad}") for ad in ("%00", "%zz", "a%2fb", "nobody", HUGE)),
    *(Asked(f"/stats/{what}", BAD) for what in ("users/%ff/sessions", "ads/%ff", "ads/%c3%28")),
    *(Asked(f"/counts/{name}", NOWHERE) for name in ("nothing", "", "%00", HUGE)),
    Asked("/counts/%ff", BAD),
    Asked("/stats/page_views", BAD),
    Asked("/counts/events_by_url", BAD),
    *(Asked(path, NOWHERE) for path in ("/stats", "/stats/users/u", "/stats/users//sessions")),
    *posted(
        "/event_track/",
        *((raw, BAD) for raw in (b"", b"[]", b"null", b"\xff", b"[" * 60_000)),
        (b"[" * 100_000, TOO_LARGE),
        ({"url": "x" * 100_000}, TOO_LARGE),
        *(({"url": url}, BAD) for url in BAD_URLS),
        *(({"url": url}, "") for url in ("", "\0", "nobody", "x" * 2048, "\N{SNOWMAN}" * 2048)),
        (b'{"url":"\\ud800"}', BAD),
        (b'{"url":"\xff"}', BAD),
    ),
    *posted(
        "/event_report/",
        *(({"url": "a", "date": date}, BAD) for date in ("", "noon", "2021-02-30", 1, None)),
        *(({"url": "a", "date": date}, BAD) for date in ("0001-01-01", "1969-12-31")),
        *(({"url": "a", "date": date}, BAD) for date in ("2106-01-01", "9999-12-31")),
        *(({"url": "a", "date": date}, "") for date in ("1970-01-01", "2105-12-31", DAY)),
        *(({"url": url, "date": DAY}, BAD) for url in (1, "x" * 60_000)),
        ({"url": "x" * 100_000, "date": DAY}, TOO_LARGE),
        ({"url": "a"}, BAD),
        *(
            ({"url": "a", "date": DAY, "tz": zone}, BAD)
            for zone in ("", "No/Where", 1, "Asia/Kolkata")
        ),
        *(({"url": "a", "date": DAY, "tz": zone}, "") for zone in ("UTC", "Europe/Berlin", None)),
    ),
]


@pytest.fixture
async def http(shared_workers: str) -> AsyncIterator[Http]:
    """Yield a client of a collector with a count worker."""
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield Http(session, shared_workers)


async def test_each_bad_question_is_refused_or_answered_with_nothing(http: Http) -> None:
    async def ask(asked: Asked) -> str:
        """Return what is wrong with the answer."""
        method = "GET" if asked.body is None else "POST"
        answer = await http.call(method, asked.path, asked.body)
        code = "" if answer.status == 200 else answer.json["code"]
        if code == asked.code:
            return ""
        sent, got = asked.path[:90], answer.body[:200]
        return f"{sent} {(asked.body or b'')[:60]!r}: {answer.status} {got!r}"

    assert len({(asked.path, asked.body) for asked in QUESTIONS}) == len(QUESTIONS)
    wrong = []
    for begin in range(0, len(QUESTIONS), 50):  # some at a time, as a link carries them
        wrong += await asyncio.gather(*map(ask, QUESTIONS[begin : begin + 50]))
    assert not list(filter(None, wrong))


async def test_a_window_that_is_too_long_is_told_the_longest(http: Http) -> None:
    for path in WINDOWED:
        answer = await http.get(f"{path}?window={YEAR}")
        assert f"the longest is {LONGEST} s, 31 d" in answer.json["message"]
    for path in WINDOWED:
        answer = await http.get(f"{path}?at={LONG_AGO}")
        assert "kept are 62 days, since 20" in answer.json["message"]
    answer = await http.get(f"{OF_MINUTES}?from={LONG_AGO}")
    assert "is kept for 172800 s, since 20" in answer.json["message"]
