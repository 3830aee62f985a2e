"""Figures are for known names and our own pages; events for the origins of the settings."""

from __future__ import annotations

from functools import partial
from urllib.parse import urlsplit

import aiohttp
import pytest

from app.errors import SettingsError
from app.settings import Settings
from tests.conftest import MakeSettings
from tests.support.collector_topics import collector_topics
from tests.support.http import Answer, Http
from tests.support.waiting import wait_until
from tests.web.conftest import Serve

SHOP = "https://shop.example"
FIGURES = (
    "/counters",
    "/stream",
    "/alerts",
    "/rejected",
    "/stats/ads/1",
    "/stats/ads/a%2Fb",  # one part of the path, as the server routes it
    "/stats/users/a%2Fb/sessions",
)
EVENT = b'{"type":"A"}'


@pytest.fixture
async def shop(serve: Serve, make_settings: MakeSettings) -> Http:
    """A collector that takes events from one foreign origin; Kafka is away."""
    origins = f"{SHOP}, https://blog.example:8443/"
    away = {"kafka": "127.0.0.1:1", "count_urls": "http://127.0.0.1:1"}
    return await serve(await make_settings(origins=origins, **away))


async def status(http: Http, path: str, **headers: str) -> int | str:
    """Return the code of an error that is ours, else the status; streams are not read."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with (
        aiohttp.ClientSession() as session,
        session.get(http.url + path, headers=named) as answer,
    ):
        return (await answer.json())["code"] if answer.status == 403 else answer.status


@pytest.mark.parametrize("path", FIGURES)
async def test_figures_are_told_under_known_names_only(shop: Http, path: str) -> None:
    port = urlsplit(shop.url).port
    for host in (f"localhost:{port}", "localhost", "[::1]:80", "192.0.2.7", "shop.localhost"):
        assert await status(shop, path, Host=host) in {200, 503}, host
    for host in ("evil.example", f"evil.example:{port}", "localhost.evil.example", "127.0.0.1.nip"):
        assert await status(shop, path, Host=host) == "host_not_allowed", host


async def test_names_of_the_settings_are_known(serve: Serve, make_settings: MakeSettings) -> None:
    http = await serve(
        await make_settings(
            kafka="127.0.0.1:1", hosts="Counter.example, b.example", count_urls="http://count-1:1"
        )
    )
    for host in ("counter.example", "B.EXAMPLE:443", "count-1:6067"):
        assert await status(http, "/alerts", Host=host) == 503, host
    assert await status(http, "/alerts", Host="c.example") == "host_not_allowed"


async def test_pages_state_and_events_are_for_any_name(shop: Http) -> None:
    for path in ("/", "/generator", "/static/base.css", "/health", "/metrics"):
        assert await status(shop, path, Host="evil.example") == 200
    answer = await shop.post("/events", EVENT, Host="evil.example")
    assert (answer.status, answer.json["code"]) == (503, "kafka_unavailable")


@pytest.mark.parametrize("path", FIGURES)
async def test_figures_are_for_no_page_of_another_origin(shop: Http, path: str) -> None:
    port = urlsplit(shop.url).port
    for origin in (SHOP, "null", f"http://127.0.0.1:{port}1", "http://evil.example"):
        assert await status(shop, path, Origin=origin) == "origin_not_allowed", origin
    assert await status(shop, path, Origin=f"http://127.0.0.1:{port}") in {200, 503}


async def asked(http: Http, path: str, method: str, origin: str) -> Answer:
    """Send a browser's preflight."""
    return await http.call(
        "OPTIONS",
        path,
        Origin=origin,
        Access_Control_Request_Method=method,
        Access_Control_Request_Headers="content-type",
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/event_generate/"), ("POST", "/track"), ("POST", "/"), ("POST", "/events/")],
)
async def test_a_page_of_a_listed_origin_may_send_events(
    shop: Http, method: str, path: str
) -> None:
    for origin in (SHOP, "https://blog.example:8443"):
        told = await asked(shop, path, method, origin)
        assert (told.status, told.body) == (204, b"")
        assert told.headers["Access-Control-Allow-Origin"] == origin
        assert told.headers["Access-Control-Allow-Methods"] == method
        allowed = told.headers["Access-Control-Allow-Headers"].split(", ")
        assert {"content-type", "authorization", "idempotency-key", "x-token"} <= set(allowed)
        assert told.headers["Access-Control-Max-Age"] == "7200"
        assert told.headers["Vary"] == "Origin"
        answer = await shop.call(method, path, b"junk", Origin=origin, X_Token="secret_token")
        assert answer.status == 400
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert answer.headers["Vary"] == "Origin"


async def test_a_page_of_another_origin_may_not(shop: Http) -> None:
    for origin in ("https://evil.example", "http://shop.example", "https://shop.example.evil"):
        for answer in (
            await asked(shop, "/events", "POST", origin),
            await shop.post("/events", EVENT, Origin=origin),
        ):
            assert (answer.status, answer.json["code"]) == (403, "origin_not_allowed")
            assert "Access-Control-Allow-Origin" not in answer.headers
    for headers in ({}, {"Origin": shop.url}):  # no page, or our own
        answer = await shop.post("/events", EVENT, **headers)
        assert answer.status == 503
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert answer.headers["Vary"] == "Origin"


async def test_a_preflight_for_figures_is_none(shop: Http) -> None:
    for method, path in (("GET", "/counters"), ("POST", "/event_track/"), ("GET", "/")):
        told = await asked(shop, path, method, SHOP)
        assert told.status == 405
        assert not [name for name in told.headers if name.startswith("Access-Control")]


async def test_any_origin_may_send_where_the_settings_say_so(
    serve: Serve, make_settings: MakeSettings
) -> None:
    http = await serve(await make_settings(kafka="127.0.0.1:1", origins="*"))
    told = await asked(http, "/events", "POST", "https://evil.example")
    assert told.status == 204
    assert told.headers["Access-Control-Allow-Origin"] == "*"
    assert await status(http, "/alerts", Origin="https://evil.example") == "origin_not_allowed"


async def test_a_page_is_answered_by_ready_made_heads_too(
    serve: Serve, make_settings: MakeSettings
) -> None:
    settings = await make_settings(origins=SHOP)
    await collector_topics(settings)
    http = await serve(settings)
    put = partial(http.call, "PUT", "/event_generate/", EVENT, Origin=SHOP)
    answer = await wait_until(put, lambda answer: answer.status == 200)
    assert answer.body == b"OK"
    assert answer.headers["Access-Control-Allow-Origin"] == SHOP
    assert answer.headers["Vary"] == "Origin"


async def test_without_count_workers_figures_are_unavailable(
    serve: Serve, make_settings: MakeSettings
) -> None:
    http = await serve(await make_settings(kafka="127.0.0.1:1", count_urls=""))
    assert (await http.get("/counters")).status == 503


async def test_without_origins_events_are_taken_as_before(http: Http) -> None:
    told = await asked(http, "/events", "POST", SHOP)
    assert told.status == 405
    for headers in ({}, {"Origin": SHOP}):
        answer = await http.call("PUT", "/event_generate/", EVENT, **headers)
        assert (answer.status, answer.body) == (200, b"OK")
        assert {"Vary", "Access-Control-Allow-Origin"}.isdisjoint(answer.headers)


async def test_a_page_may_read_what_went_wrong(serve: Serve, make_settings: MakeSettings) -> None:
    http = await serve(await make_settings(kafka="127.0.0.1:1", origins=SHOP))
    answer = await http.raw(
        b"POST /events HTTP/1.1\r\nHost: localhost\r\nOrigin: https://shop.example\r\n"
        b"Content-Length: 2\r\nConnection: close\r\n\r\n{}"
    )
    assert b"Access-Control-Allow-Origin: https://shop.example\r\n" in answer


@pytest.mark.parametrize(
    "origins", ["shop.example", "https://", "https://a.example/x", "null", "https://a,b", "x" * 9]
)
def test_what_is_no_origin_stops_the_start(origins: str) -> None:
    with pytest.raises(SettingsError, match="EVENT_COUNTER_ORIGINS"):
        Settings.from_env({"EVENT_COUNTER_ORIGINS": origins})


def test_more_origins_than_anybody_has_stop_the_start() -> None:
    many = ",".join(f"https://{number}.example" for number in range(10_000))
    with pytest.raises(SettingsError, match="at most 1000"):
        Settings.from_env({"EVENT_COUNTER_ORIGINS": many})
