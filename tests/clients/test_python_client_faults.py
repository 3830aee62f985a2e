"""event_counter_client with a network and a server that fail."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter

import pytest
from aiohttp import web

from app.names import Names
from app.settings import Settings
from app.stack.ports import free_port
from event_counter_client import Rejected
from event_counter_client.posting import Failed, Refused, Taken, meaning, seconds_of
from tests.clients.conftest import MakeClient
from tests.clients.test_python_client import stored
from tests.conftest import MakeSettings
from tests.support.cutting_proxy import CuttingProxy
from tests.support.http import Http
from tests.support.kafka_client import KafkaClient
from tests.support.waiting import SOON_S, wait_until
from tests.web.conftest import Serve


async def test_a_lost_answer_makes_the_same_ids_come_again(
    http: Http, kafka: KafkaClient, topics: Names, make_client: MakeClient
) -> None:
    async with CuttingProxy(http.url) as proxy:
        proxy.lose_answer_to = b"POST /events"
        client = make_client(proxy.url)
        for number in range(200):
            client.send("CLICK", f"/{number}")
        assert await client.aflush(SOON_S)
        await client.aclose()
    events = await stored(kafka, topics)
    times = Counter((event["url"], event["message_id"]) for event in events)
    assert {url for url, _ in times} == {f"/{number}" for number in range(200)}
    assert len(times) == 200, "an event got a second message_id"
    assert len(events) > 200, "no answer was lost"
    assert client.stats().accepted == 200
    assert client.stats().retries == 1


async def test_events_wait_for_a_server_that_comes_late(
    serve: Serve, settings: Settings, kafka: KafkaClient, topics: Names, make_client: MakeClient
) -> None:
    client = make_client(f"http://127.0.0.1:{settings.http_port}")
    client.send("CLICK", "/early")
    await wait_until(lambda: client.stats().retries, lambda retries: retries > 0)
    assert client.stats().problem
    await serve(settings)
    client.send("CLICK", "/late")
    assert await client.aflush(SOON_S)
    # Each on a partition of its own.
    assert {event["url"] for event in await stored(kafka, topics)} == {"/early", "/late"}
    assert (client.stats().problem, client.stats().accepted) == ("", 2)


async def test_a_full_queue_drops_and_counts_or_waits(
    serve: Serve, settings: Settings, topics: Names, make_client: MakeClient
) -> None:
    assert topics
    url = f"http://127.0.0.1:{settings.http_port}"
    dropping = make_client(url, queue_events=3)
    assert [dropping.send("CLICK") for _ in range(5)] == [True] * 3 + [False] * 2
    assert await dropping.asend("CLICK") is False
    assert (dropping.stats().waiting, dropping.stats().dropped) == (3, 3)
    blocking = make_client(url, queue_events=1, when_full="block")
    assert blocking.send("CLICK")
    thread = threading.Thread(target=blocking.send, args=("CLICK",))
    thread.start()
    waiting = asyncio.create_task(blocking.asend("CLICK"))
    await asyncio.wait([waiting], timeout=0.1)  # the loop goes on
    assert thread.is_alive()
    assert not waiting.done()
    await serve(settings)
    assert await waiting
    await asyncio.to_thread(thread.join, SOON_S)
    assert await blocking.aflush(SOON_S)
    assert (blocking.stats().accepted, blocking.stats().dropped) == (3, 0)


async def test_what_close_gives_up_is_counted_and_told(make_client: MakeClient) -> None:
    lost: list[Rejected] = []
    client = make_client(f"http://127.0.0.1:{free_port()}", on_error=lost.append)
    for number in range(1200):
        client.send("CLICK", f"/{number}")
    await client.aclose(0.1)
    assert (client.stats().lost, client.stats().waiting) == (1200, 0)
    assert [each.event["url"] for each in lost] == [f"/{number}" for number in range(1200)]
    assert {each.code for each in lost} == {"not_sent"}


async def test_close_does_not_wait_for_an_answer_that_does_not_come(
    http: Http, make_client: MakeClient
) -> None:
    async with CuttingProxy(http.url) as proxy:
        proxy.still = True
        client = make_client(proxy.url, timeout_s=300)
        client.send("CLICK")
        await wait_until(lambda: proxy.connected, expected=True)
        await client.aclose(0.2)
        assert client.stats().lost == 1


async def test_a_batch_that_is_too_large_goes_in_parts(
    serve_ready: Serve, make_settings: MakeSettings, make_client: MakeClient
) -> None:
    settings = await make_settings(body_max_bytes=65_536)
    http = await serve_ready(settings)
    client = make_client(http.url)
    for number in range(400):
        client.send("CLICK", f"/{number}", properties={"text": "x" * 1000})
    assert await client.aflush(SOON_S)
    assert (client.stats().accepted, client.stats().rejected) == (400, 0)


async def test_a_wrong_key_is_named_and_its_events_wait(
    serve_ready: Serve, make_settings: MakeSettings, make_client: MakeClient
) -> None:
    http = await serve_ready(await make_settings(write_keys="the-key=shop"))
    wrong, right = make_client(http.url, write_key="x"), make_client(http.url, write_key="the-key")
    for client in (wrong, right):
        client.send("CLICK")
    assert await right.aflush(SOON_S)
    await wait_until(lambda: wrong.stats().problem, lambda problem: "unknown_write_key" in problem)
    assert (wrong.stats().waiting, wrong.stats().rejected) == (1, 0)


async def test_retry_after_is_honoured(make_client: MakeClient) -> None:
    calls: list[tuple[float, int]] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        count = len((await request.read()).splitlines())
        calls.append((time.monotonic(), count))
        if len(calls) == 1:
            return web.Response(status=429, headers={"Retry-After": "2"})
        return web.json_response({"accepted": count, "rejected": 0, "errors": []})

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    client = make_client(f"http://127.0.0.1:{port}")
    client.send("CLICK")
    assert await client.aflush(SOON_S)
    await client.aclose()
    await runner.cleanup()
    assert [count for _, count in calls] == [1, 1]
    assert calls[1][0] - calls[0][0] >= 2  # its own pause would be 0.2 s


@pytest.mark.parametrize(
    ("status", "text", "expected"),
    [
        (200, '{"accepted":2,"rejected":0,"errors":[]}', Taken([])),
        (
            200,
            '{"accepted":1,"rejected":1,"errors":[{"index":1,"code":"c","message":"m"}]}',
            Taken([(1, "c", "m")]),
        ),
        (200, '{"accepted":1,"rejected":1,"errors":[{"index":9},7]}', Taken([])),
        (200, "<html>log in first</html>", Failed("HTTP 200 <html>log in first</html>", 7.0)),
        (200, '{"accepted":1,"rejected":0}', Failed('HTTP 200 {"accepted":1,"rejected":0}', 7.0)),
        (200, "[]", Failed("HTTP 200 []", 7.0)),
        (400, '{"code":"malformed_json","message":"m"}', Refused("malformed_json", "m")),
        (400, "Bad Request", Failed("HTTP 400 Bad Request", 7.0)),
        (
            413,
            '{"code":"body_too_large","message":"m"}',
            Refused("body_too_large", "m", too_large=True),
        ),
        (401, '{"code":"unauthorized","message":"m"}', Failed("HTTP 401 unauthorized: m", 7.0)),
        (503, "", Failed("HTTP 503 ", 7.0)),
    ],
)
def test_only_the_servers_own_answer_is_an_acknowledgement(
    status: int, text: str, expected: object
) -> None:
    assert meaning(status, "7", text.encode(), 2) == expected


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", 0.0),
        ("5", 5.0),
        ("-5", 0.0),
        ("1e9", 300.0),
        ("nan", 0.0),
        ("soon", 0.0),
        ("Wed, 21 Oct 2015 07:28:10 GMT", 10.0),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str, seconds: float) -> None:
    assert seconds_of(header, 1_445_412_480.0) == seconds


@pytest.mark.parametrize("url", ["", "counter:8000", "ftp://counter", "http://"])
def test_an_address_that_is_none_is_named(url: str, make_client: MakeClient) -> None:
    with pytest.raises(ValueError, match="is not an address"):
        make_client(url)


def test_a_policy_that_is_none_is_named(make_client: MakeClient) -> None:
    with pytest.raises(ValueError, match="when_full is 'wait'"):
        make_client("http://127.0.0.1:9", when_full="wait")


def test_the_json_of_an_answer_is_read_whatever_it_is() -> None:
    assert isinstance(meaning(200, "", json.dumps(None).encode(), 1), Failed)
