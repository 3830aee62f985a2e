"""With a read token set, figures are for those who send it; events are taken as before."""

from __future__ import annotations

import pytest

from tests.conftest import MakeSettings
from tests.support.http import Http
from tests.web.conftest import Serve
from web.http.paths import CALLS, Kind

CLOSED = [
    ("GET", "/stream"),
    ("GET", "/counters"),
    ("GET", "/counts/events_by_type"),
    ("GET", "/stats/top_pages"),
    ("GET", "/alerts/"),
    ("GET", "/rejected"),
    ("POST", "/event_track/"),
    ("POST", "/event_report"),
    ("HEAD", "/counters"),
    ("GET", "/%63ounters"),  # what is escaped is the same path
    ("GET", "/counter%73/?x=1"),
    ("GET", "/counts/a%2Fb"),
    ("GET", "/counts/a%2Ftop"),
    ("GET", "/stats/users/a%2Fb/sessions/"),
    ("GET", "/events/0%3A1"),
]
NOWHERE = [
    "/nope",
    "/nope/",
    "//counters",
    "/static/../counters",
    "/%2Fcounters",
    "/counters%2F",
    "/counters;a",
    "/counters/more",
    "/events/0:1/more",
    "/stats",
    "/counts/",
    "/queries",  # of role count
    "/rows/events_by_url",
    "/counter/counters",  # there is no base path
]
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
HERE = [call for call in CALLS if "collect" in call.roles]


@pytest.fixture
async def locked(serve: Serve, make_settings: MakeSettings) -> Http:
    """Return a client of a collector with a read token."""
    return await serve(await make_settings(count_urls="http://127.0.0.1:1", read_token="sésame"))


@pytest.mark.parametrize(("method", "path"), CLOSED)
async def test_figures_need_the_token(locked: Http, method: str, path: str) -> None:
    for given in ("", "Bearer wrong", "Basic sésame", "Bearer"):
        answer = await locked.call(method, path, Authorization=given)
        assert answer.status == 401, given
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        if method != "HEAD":
            assert answer.json["code"] == "unauthorized"


async def test_the_token_opens_them(locked: Http) -> None:
    answer = await locked.call("GET", "/counters", Authorization="bearer sésame")
    assert answer.json["code"] == "unavailable"  # its count worker is away


async def test_events_state_and_pages_need_none(locked: Http) -> None:
    for path in ("/", "/generator/", "/static/base.css", "/health", "/metrics"):
        assert (await locked.get(path)).status == 200, path
    assert (await locked.post("/events/", b'{"type":1}')).status in (200, 503)
    assert (await locked.call("PUT", "/event_generate/", b"no JSON")).status == 400


@pytest.mark.parametrize("path", sorted({call.path for call in HERE}))
async def test_each_method_of_each_path_is_answered_as_it_is_declared(
    locked: Http, path: str
) -> None:
    calls = [call for call in HERE if call.path == path]
    allowed = ",".join(sorted(set().union(*(call.methods for call in calls))))
    parts = path.replace("{", "").replace("}", "").rstrip("/")
    for spelling in {parts or "/", f"{parts}/"}:
        for method in METHODS:
            answer = await locked.call(method, spelling)
            called = [call.kind for call in calls if method in call.methods]
            if not called:
                assert answer.status == 405, (method, spelling)
                assert method == "HEAD" or answer.json["code"] == "method_not_allowed"
                assert answer.headers["Allow"] == allowed
            elif called == [Kind.FIGURES]:
                assert answer.status == 401, (method, spelling)
                assert answer.headers["WWW-Authenticate"] == "Bearer"
            else:
                assert answer.status != 401, (method, spelling)


@pytest.mark.parametrize("path", NOWHERE)
async def test_where_nothing_is_nothing_is_asked_for(locked: Http, path: str) -> None:
    for method in METHODS:
        for given in ("", "Bearer wrong", "Bearer sésame"):
            answer = await locked.call(method, path, Authorization=given)
            assert answer.status == 404, (method, given)
            assert method == "HEAD" or answer.json["code"] == "not_found"


async def test_a_target_that_is_no_path_opens_nothing(locked: Http) -> None:
    for line, status in (
        (f"GET {locked.url}/counters", b"401"),
        ("GET http://evil.example/counters", b"401"),
        (f"POST {locked.url}/counters", b"405"),
        ("CONNECT counters:80", b"404"),
        ("OPTIONS *", b"404"),
        ("GET counters", b"400"),
    ):
        head = f"{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        answer = await locked.raw(head.encode())
        assert answer.split(b" ")[1] == status, line
