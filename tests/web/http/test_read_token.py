"""With a read token set, figures are for those who send it; events are taken as before."""

from __future__ import annotations

import pytest

from tests.conftest import MakeSettings
from tests.support.http import Http
from tests.web.conftest import Serve

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
    ("GET", "/static/../counters"),
    ("GET", "//counters"),
]


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
