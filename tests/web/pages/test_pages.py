"""The pages and their stream, from a collector whose count worker is away."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import aiohttp
import pytest

from tests.conftest import MakeSettings
from tests.support.http import Http
from tests.support.waiting import SOON_S
from tests.web.conftest import Serve
from web.pages.files import STATIC


@pytest.fixture
async def alone(serve: Serve, make_settings: MakeSettings) -> Http:
    """Return a client of a collector whose count worker is away."""
    return await serve(await make_settings(count_urls="http://127.0.0.1:1"))


@pytest.mark.parametrize("path", ["/", "/explore", "/explore/", "/generator", "/generator/"])
async def test_a_page_may_run_nothing_but_our_files(alone: Http, path: str) -> None:
    answer = await alone.get(path)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    for forbidden in (b"<style", b" style=", b"onclick", b"://"):
        assert forbidden not in answer.body.replace(b"http://www.w3.org", b""), forbidden


async def test_every_file_is_served_and_no_other(alone: Http) -> None:
    for path in STATIC.iterdir():
        assert (await alone.get(f"/static/{path.name}")).body == path.read_bytes(), path
    for name in ("nothing.js", "..%2Ffiles.py", "%2e%2e/files.py", "/etc/passwd", "..%5Cviews.py"):
        answer = await alone.get(f"/static/{name}")
        assert (answer.status, answer.json["code"]) == (404, "not_found"), name


async def test_the_chart_library_is_served(alone: Http) -> None:
    answer = await alone.get("/static/uPlot.esm.js")
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert b"uPlot" in answer.body


async def test_a_browser_that_has_a_file_is_told_so(alone: Http) -> None:
    first = await alone.get("/static/base.css")
    again = await alone.call("GET", "/static/base.css", If_None_Match=first.headers["Etag"])
    assert (again.status, again.body) == (304, b"")
    assert first.headers["Cache-Control"] == "no-cache"


async def test_ads_events_are_still_taken_where_the_dashboard_is(alone: Http) -> None:
    answer = await alone.post("/", b"no JSON")
    assert (answer.status, answer.json["code"]) == (400, "malformed_json")


async def stream(http: Http, last_id: str = "") -> AsyncGenerator[tuple[str, str, dict[str, Any]]]:
    """Yield (id, name, data) of the events of /stream; close it to hang up."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(http.url + "/stream", headers={"Last-Event-ID": last_id}) as answer,
    ):
        assert answer.headers["Content-Type"] == "text/event-stream"
        fields: dict[str, str] = {}
        async for line in answer.content:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif "event" in fields:
                yield fields.get("id", ""), fields["event"], json.loads(fields["data"])
                fields = {}


async def test_the_stream_has_a_point_each_second_and_says_what_cannot_be_had(alone: Http) -> None:
    points, panels = [], {}
    async with asyncio.timeout(SOON_S), aclosing(stream(alone)) as events:
        async for number, name, data in events:
            if name == "point":
                points.append((number, data["at"]))
            else:
                panels[data["name"]] = data
            if len(points) >= 3 and "totals" in panels:
                break
    gaps = [after - before for (_, before), (_, after) in itertools.pairwise(points)]
    # After a late tick the next one is less than a second away; none goes back, none comes twice.
    assert all(gap >= 0 for gap in gaps), gaps
    assert len({number for number, _ in points}) == len(points)
    assert (panels["totals"]["status"], panels["totals"]["body"]["code"]) == (503, "unavailable")
    async with asyncio.timeout(SOON_S), aclosing(stream(alone, points[-1][0])) as events:
        async for number, name, _ in events:
            if name == "point":
                assert number > points[-1][0]
                break


async def test_head_of_the_stream_does_not_hang(alone: Http) -> None:
    answer = await asyncio.wait_for(alone.call("HEAD", "/stream"), SOON_S)
    assert answer.status == 200
