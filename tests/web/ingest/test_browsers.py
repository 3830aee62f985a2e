"""Events that browsers send: pixel, script, headers, addresses, a path of a proxy."""

from __future__ import annotations

import gzip
import json
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.names import Names
from tests.conftest import MakeSettings
from tests.support.collector_topics import collector_topics
from tests.support.http import Http
from tests.support.kafka_client import KafkaClient
from tests.support.waiting import wait_until
from tests.web.conftest import Serve
from web.ingest.pixel import GIF
from web.pages.install import SMALL_TRACKER, TRACKER

AGENT = "Mozilla/5.0 (X11; Linux x86_64) Test/1.0"
ORIGIN = "https://shop.example"
PAGE = f"{ORIGIN}/list?page=2"
BROWSER = {"Referer": PAGE, "User_Agent": AGENT, "Sec_Fetch_Mode": "cors"}

Door = Callable[..., Awaitable[tuple[Http, Callable[[], Awaitable[list[dict[str, Any]]]]]]]


@pytest.fixture
async def door(serve: Serve, make_settings: MakeSettings, kafka: KafkaClient) -> Door:
    """Return a factory of collectors with settings, and of what reads the events they stored."""

    async def opened(**changes: object) -> Any:
        settings = await make_settings(**changes)
        await collector_topics(settings)
        http = await serve(settings)

        async def stored() -> list[dict[str, Any]]:
            values = await kafka.values(Names(settings.namespace).events)
            return [json.loads(value) for value in values]

        await wait_until(lambda: http.get("/ready"), lambda answer: answer.status == 200)
        return http, stored

    return opened


async def test_a_browser_says_where_it_is_and_what_it_is(door: Door) -> None:
    http, stored = await door()
    await http.post(
        "/events", b'[{"type":"A"},{"type":"B","referrer":"","user_agent":"x"}]', **BROWSER
    )
    await http.call("PUT", "/event_generate/", b'{"type":"C"}', Origin=PAGE, Referer=PAGE)
    await http.post("/", b'{"type":"D"}', Referer=PAGE, User_Agent=AGENT)  # no browser
    found = {event["type"]: event for event in await stored()}
    assert (found["A"]["referrer"], found["A"]["user_agent"]) == (PAGE, AGENT)
    assert (found["B"].get("referrer"), found["B"]["user_agent"]) == (None, "x")
    assert found["C"]["referrer"] == PAGE
    assert {"referrer", "user_agent", "ip"}.isdisjoint(found["D"])


@pytest.mark.parametrize("nothing", ['""', "null"])
async def test_a_client_that_says_there_is_no_referrer_is_believed(
    door: Door, nothing: str
) -> None:
    http, stored = await door()
    page = f'{{"page":{{"url":"/a","referrer":{nothing}}}}}'
    track = f'{{"type":"track","event":"segment","context":{page}}}'
    site = f'{{"type":"event","payload":{{"name":"umami","url":"/a","referrer":{nothing}}}}}'
    calls = {
        "/api/event": f'{{"n":"plausible","u":"/a","d":"s","r":{nothing}}}',
        "/api/send": site,
        "/api/batch": f"[{site}]",
        "/v1/t": track,
        "/v1/b": f'{{"batch":[{track}]}}',
        "/v1/batch": f'{{"batch":[{{"type":"track","event":"segment"}}],"context":{page}}}',
    }
    for path, body in calls.items():
        got = await http.post(path, body.encode(), Origin=ORIGIN, **BROWSER)
        assert got.status in {200, 202}, path
    events = await stored()
    assert len(events) == len(calls)
    assert [event for event in events if "referrer" in event] == []
    assert {event["user_agent"] for event in events} == {AGENT}


async def test_headers_that_are_long_or_no_text_are_cut_and_stored(door: Door) -> None:
    http, stored = await door()
    long = "https://shop.example/" + "é" * 3000
    answer = await http.post("/", b'{"type":"A"}', **{**BROWSER, "Referer": long})
    assert answer.status == 200
    (event,) = await stored()
    assert len(event["referrer"].encode()) <= 2048


async def test_the_address_is_taken_as_the_settings_say(door: Door) -> None:
    forwarded = {"X_Forwarded_For": "198.51.100.4, 203.0.113.9"}
    for client_ip, proxies, expected in (
        ("none", "127.0.0.1", None),
        ("full", "", "127.0.0.1"),
        ("full", "127.0.0.0/8", "203.0.113.9"),
        ("anonymous", "127.0.0.0/8", "203.0.113.0"),
    ):
        http, stored = await door(client_ip=client_ip, trusted_proxies=proxies)
        for body in (b'{"type":"A"}', b'{"type":"B","ip":"x"}'):
            assert (await http.post("/", body, **forwarded)).status == 200
        assert [event.get("ip") for event in await stored()] in ([expected, "x"], ["x", expected])


async def test_a_pixel_is_an_event_once_kafka_has_it(door: Door) -> None:
    http, stored = await door()
    path = "/pixel.gif?type=VIEW&url=/a%20b&value=2.5&user_id=u1&properties.mail=spring&x=y"
    answer = await http.call("GET", path, Referer=PAGE, User_Agent=AGENT)
    assert (answer.status, answer.body) == (200, GIF)
    assert answer.headers["Content-Type"] == "image/gif"
    assert answer.headers["Cache-Control"] == "no-store"
    (event,) = await stored()
    expected = {
        "type": "VIEW",
        "url": "/a b",
        "value": 2.5,
        "user_id": "u1",
        "referrer": PAGE,
        "user_agent": AGENT,
        "properties": {"mail": "spring"},
    }
    assert {name: event[name] for name in expected} == expected
    head = await http.call("HEAD", path)
    same = "Content-Type", "Content-Length", "Cache-Control"
    assert [head.headers[name] for name in same] == [answer.headers[name] for name in same]
    assert (head.status, head.body, len(await stored())) == (200, b"", 1)
    rejected = await rejections(http)
    for wrong, code in (
        ("url=/a", "missing_type"),
        ("type=A&value=x", "invalid_field"),
        ("type=A&timestamp=9999999999", "timestamp_in_future"),
        ("type=A&timestamp=" + "9" * 5000, "invalid_timestamp"),
        ("type=A&date=" + "0" * 5000, "invalid_timestamp"),
        ("type=A&value=" + "9" * 5000, "invalid_field"),
        ("type=A&type=B", "bad_request"),
        ("type=%ff", "bad_request"),
        ("type=A&properties=x", "bad_request"),
    ):
        assert (await http.call("HEAD", f"/pixel.gif?{wrong}")).status == 400, wrong
        assert await rejections(http) == rejected, "HEAD counts nothing"
        answer = await http.get(f"/pixel.gif?{wrong}")
        assert (answer.status, answer.json["code"]) == (400, code), wrong
        rejected = await rejections(http)


async def rejections(http: Http) -> list[str]:
    """Return the lines of /metrics that count rejected events."""
    lines = (await http.get("/metrics")).body.decode().splitlines()
    return [line for line in lines if line.startswith("event_counter_events_rejected_total{")]


async def test_a_head_of_the_pixel_needs_what_its_get_needs(
    serve: Serve, make_settings: MakeSettings
) -> None:
    http = await serve(await make_settings(kafka="127.0.0.1:1", write_keys="key=app"))
    for query, status in (
        ("type=A", 401),
        ("type=A&write_key=key", 503),
        ("url=/&write_key=key", 400),
    ):
        for method in ("GET", "HEAD"):
            answer = await http.call(method, f"/pixel.gif?{query}")
            assert answer.status == status, (method, query)


async def test_the_script_is_small_and_kept_by_browsers(door: Door) -> None:
    http, _ = await door(origins="https://shop.example")
    answer = await http.call("GET", "/tracker.js", Origin="https://evil.example")
    assert answer.status == 200
    assert answer.body == SMALL_TRACKER.read_bytes()
    assert answer.headers["Content-Type"].startswith("text/javascript")
    assert len(gzip.compress(answer.body)) < 2000
    assert len(answer.body) < len(TRACKER.read_bytes()) / 2
    assert "max-age=86400" in answer.headers["Cache-Control"]
    again = await http.call("GET", "/tracker.js", If_None_Match=answer.headers["Etag"])
    assert (again.status, again.body) == (304, b"")


async def test_a_script_that_is_missing_is_named(
    serve: Serve, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.pages.tracker.SMALL_TRACKER", Path("/nowhere"))
    http = await serve(await make_settings(kafka="127.0.0.1:1"))
    answer = await http.get("/tracker.js")
    assert (answer.status, answer.json["code"]) == (404, "not_found")
    assert "make charts" in answer.json["message"]


async def test_all_is_served_below_the_path_of_a_proxy_too(door: Door) -> None:
    http, stored = await door(
        base_path="/counter",
        count_urls="http://127.0.0.1:1",
        read_token="secret",
        origins=PAGE[:20],
    )
    assert (await http.call("PUT", "/counter/event_generate/", b'{"type":"A"}')).body == b"OK"
    assert (await http.call("PUT", "/event_generate", b'{"type":"B"}')).body == b"OK"
    assert (await http.get("/counter/pixel.gif?type=C")).body == GIF
    assert sorted(event["type"] for event in await stored()) == ["A", "B", "C"]
    for path in ("", "/", "/generator", "/tracker.js", "/static/base.css", "/ready", "/health/"):
        answer = await http.get(f"/counter{path}")
        assert answer.status == 200, path
        if answer.headers["Content-Type"].startswith("text/html"):
            assert b'<base href="/counter/">' in answer.body
            assert b'="/' not in answer.body.replace(b'<base href="/counter/">', b"")
    for path in ("/counters", "/stats/ads/1", "/stream", "/event_track/"):
        call = partial(http.call, "POST" if path == "/event_track/" else "GET")
        answer = await call(f"/counter{path}")
        assert (answer.status, answer.json["code"]) == (401, "unauthorized"), path
    answer = await http.call("GET", "/counter/counters", Authorization="Bearer secret")
    assert answer.json["code"] == "unavailable"  # its count worker is away
    told = await http.call(
        "OPTIONS", "/counter/events", Origin=ORIGIN, Access_Control_Request_Method="POST"
    )
    assert told.status == 204
    for path in ("/counterx/health", "/counter/nothing", "/counter/counter/health"):
        assert (await http.get(path)).status == 404, path


async def test_urls_are_cleaned_before_they_are_counted(door: Door, tmp_path: Path) -> None:
    rules = tmp_path / "urls.toml"
    rules.write_text('query = "drop"\nkeep = ["id"]\nslash = "drop"\n', "utf-8")
    http, stored = await door(url_rules=str(rules))
    sent = "https://shop.example/a/?utm_source=x&id=5"
    await http.post(
        "/events", json.dumps([{"type": "A", "url": sent}, {"type": "B", "url": "/b"}]).encode()
    )
    await http.get("/pixel.gif?type=C&url=/c/")
    found = {event["type"]: event for event in await stored()}
    assert found["A"]["url"] == "https://shop.example/a?id=5"
    assert found["A"]["properties"] == {"url_sent": sent}
    assert found["B"]["url"] == "/b"
    assert "properties" not in found["B"]
    assert found["C"]["url"] == "/c"
