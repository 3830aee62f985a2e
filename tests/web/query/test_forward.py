"""Queries at the collector: passed on, passed back, and never left hanging."""

from __future__ import annotations

import asyncio
import math
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from itertools import count

import pytest
from aiohttp import web

from app.stack.ports import free_port
from tests.conftest import MakeSettings
from tests.support.http import Http
from tests.support.waiting import SOON_S
from tests.web.conftest import Serve
from web.query.link import decode_queries, encode
from web.query.messages import Answer, Query

Handler = Callable[[Query], Answer]
StartServer = Callable[..., Awaitable[str]]


@pytest.fixture
async def start_server() -> AsyncIterator[StartServer]:
    """Return a factory of servers that answer as a count worker might; it returns URLs.

    queries_each: after so many a connection is closed instead of answering.
    """
    async with AsyncExitStack() as stack:

        async def start(handler: Handler, queries_each: float = math.inf) -> str:
            async def serve(request: web.BaseRequest) -> web.WebSocketResponse:
                socket, asked = web.WebSocketResponse(), count()
                await socket.prepare(request)
                async with asyncio.TaskGroup() as tasks:
                    async for message in socket:
                        for number, query in decode_queries(message.data):
                            if next(asked) >= queries_each:
                                await socket.close()
                                return socket
                            tasks.create_task(answer(socket, number, query))
                return socket

            async def answer(socket: web.WebSocketResponse, number: int, query: Query) -> None:
                found = handler(query)
                found = found if isinstance(found, Answer) else await found
                await socket.send_bytes(encode([(number, found)]))

            runner = web.ServerRunner(web.Server(serve))
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            port = free_port()
            await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
            return f"http://127.0.0.1:{port}"

        yield start


@pytest.fixture
def collector_of(serve: Serve, make_settings: MakeSettings) -> Callable[..., Awaitable[Http]]:
    """Return a factory of collectors that know these count workers."""

    async def start(*urls: str) -> Http:
        return await serve(await make_settings(count_urls=",".join(urls)))

    return start


def echo(query: Query) -> Answer:
    return Answer(200, f"{query.method} {query.path} {query.body.decode()}".encode(), {})


def answering(text: str, status: int = 200, **headers: str) -> Handler:
    return lambda _query: Answer(status, text.encode(), headers)


def nobody() -> str:
    return f"http://127.0.0.1:{free_port()}"


async def test_a_query_arrives_as_it_was_sent(
    start_server: StartServer, collector_of: Callable[..., Awaitable[Http]]
) -> None:
    http = await collector_of(await start_server(echo))
    for path in ("/event_track/", "/event_track", "/event_report/"):
        got = await http.post(path, b'{"url":"/a"}', Content_Type="application/json")
        assert got.body == f'POST {path} {{"url":"/a"}}'.encode()
    for path in ("/counters", "/counts/events_by_url?key=%2Fa%20b%3F&from=2024-03-15T00:00:00Z"):
        assert (await http.get(path)).body.startswith(f"GET {path} ".encode())


async def test_an_answer_comes_back_as_it_is(
    start_server: StartServer, collector_of: Callable[..., Awaitable[Http]]
) -> None:
    worker = answering(
        '{"code":"outside_retention"}', 400, **{"Content-Type": "x/y; charset=utf-8"}
    )
    http = await collector_of(await start_server(worker))
    got = await http.get("/counts/x")
    assert (got.status, got.body) == (400, b'{"code":"outside_retention"}')
    assert got.headers["Content-Type"] == "x/y; charset=utf-8"


async def test_workers_take_turns_and_dead_ones_are_passed_over(
    start_server: StartServer, collector_of: Callable[..., Awaitable[Http]]
) -> None:
    one, two = await start_server(answering("1")), await start_server(answering("2"))
    http = await collector_of(one, nobody(), two)
    answers = [(await http.get("/counters")).body for _ in range(12)]
    assert set(answers) == {b"1", b"2"}


async def test_a_worker_that_recovers_is_passed_over_while_another_answers(
    start_server: StartServer, collector_of: Callable[..., Awaitable[Http]]
) -> None:
    away = await start_server(answering("no", 503, **{"Retry-After": "7"}))
    there = await start_server(answering("yes"))
    http = await collector_of(away, there)
    assert {(await http.get("/counters")).body for _ in range(6)} == {b"yes"}
    http = await collector_of(away)
    got = await http.get("/counters")
    assert (got.status, got.body, got.headers["Retry-After"]) == (503, b"no", "7")


async def test_nobody_there_is_503(collector_of: Callable[..., Awaitable[Http]]) -> None:
    http = await collector_of(nobody(), nobody())
    got = await http.post("/event_track/", b'{"url":"/a"}')
    assert (got.status, got.json["code"]) == (503, "unavailable")
    assert int(got.headers["Retry-After"]) >= 1


async def test_a_worker_that_hangs_is_503_within_a_few_seconds(
    collector_of: Callable[..., Awaitable[Http]],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, never answers
        http = await collector_of(f"http://127.0.0.1:{silent.getsockname()[1]}")
        begun = time.monotonic()
        assert (await http.get("/counters")).status == 503
        assert time.monotonic() - begun < SOON_S


async def test_a_connection_that_the_worker_closed_is_no_error(
    start_server: StartServer, collector_of: Callable[..., Awaitable[Http]]
) -> None:
    http = await collector_of(await start_server(echo, queries_each=3))
    for number in range(10):
        assert (await http.get(f"/counts/{number}")).status == 200
    paths = [f"/counts/{number}" for number in range(2)]
    answers = await asyncio.gather(*(http.get(path) for path in paths))  # one finds it closed
    assert [got.body for got in answers] == [f"GET {path} ".encode() for path in paths]


async def test_a_query_whose_connection_breaks_twice_is_503(
    start_server: StartServer, collector_of: Callable[..., Awaitable[Http]]
) -> None:
    http = await collector_of(await start_server(echo, queries_each=0))
    begun = time.monotonic()
    assert (await http.get("/counters")).status == 503
    assert time.monotonic() - begun < SOON_S


async def test_many_queries_at_once_get_their_own_answers(
    start_server: StartServer, collector_of: Callable[..., Awaitable[Http]]
) -> None:
    http = await collector_of(await start_server(echo))
    paths = [f"/counts/events_by_url?key={number}" for number in range(200)]
    answers = await asyncio.gather(*(http.get(path) for path in paths))
    assert [got.body for got in answers] == [f"GET {path} ".encode() for path in paths]
