"""Queries at the collector: passed on, passed back, and never left hanging."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from aiohttp import web

from app.stack.ports import free_port
from tests.conftest import MakeSettings
from tests.support.http import Http
from tests.web.conftest import Serve
from web.queries import Answer, Query, decode_queries, encode_answers

Handler = Callable[[Query], Answer]
StartServer = Callable[[Handler], Awaitable[str]]


@pytest.fixture
async def start_server() -> AsyncIterator[StartServer]:
    """Return a factory of HTTP servers that answer as a count worker might; it returns URLs."""
    async with AsyncExitStack() as stack:

        async def start(handler: Handler) -> str:
            async def answer(request: web.BaseRequest) -> web.Response:
                queries = decode_queries(await request.read())
                return web.Response(body=encode_answers([handler(query) for query in queries]))

            runner = web.ServerRunner(web.Server(answer))
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
        assert time.monotonic() - begun < 6


async def test_a_kept_connection_that_the_worker_closed_is_no_error(
    collector_of: Callable[..., Awaitable[Http]],
) -> None:
    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = encode_answers([Answer(200, b"ok", {})])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        await reader.read(1)  # the next request on this connection finds it closed
        writer.close()

    server = await asyncio.start_server(answer_once, "127.0.0.1", 0)
    async with server:
        http = await collector_of(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        for _ in range(3):
            got = await http.post("/event_track/", b"")
            assert (got.status, got.body) == (200, b"ok")


async def test_queries_that_wait_share_a_request(
    start_server: StartServer, collector_of: Callable[..., Awaitable[Http]]
) -> None:
    http = await collector_of(await start_server(echo))
    paths = [f"/counts/events_by_url?key={number}" for number in range(200)]
    answers = await asyncio.gather(*(http.get(path) for path in paths))
    assert [got.body for got in answers] == [f"GET {path} ".encode() for path in paths]
