"""The stream of the pages: a place for everybody, and none for who does not read."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aiohttp
import faust
import pytest

import web.pages.stream
from app.settings import Settings
from app.stack.ports import free_port
from tests.support.waiting import wait_until
from web.http.client import Clients
from web.http.server import Server
from web.pages.feed import Feed

ADDRESS = "127.0.0.1"


@pytest.fixture
def feed() -> Feed:
    """Return what the stream tells."""
    return Feed()


@pytest.fixture
async def url(feed: Feed) -> AsyncIterator[str]:
    """Serve the stream alone; return its URL."""
    port = free_port()
    app = faust.App("pages", web_bind=ADDRESS, web_host=ADDRESS, web_port=port)
    app.web = Server(app, Settings())
    web.pages.stream.register(app, feed, Clients(Settings(trusted_proxies=ADDRESS)))
    await app.web.start()
    yield f"http://{ADDRESS}:{port}/stream"
    await app.web.stop()


async def test_one_reader_leaves_streams_for_others(
    url: str, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web.pages.stream, "ONE_ADDRESS_MAX", 2)
    async with aiohttp.ClientSession() as session:

        async def open_one(of: str) -> aiohttp.ClientResponse:
            return await session.get(url, headers={"X-Forwarded-For": of})

        async def status(of: str) -> int:
            async with await open_one(of) as answer:
                return answer.status

        def left() -> int:
            feed.publish({"at": 0}, {})  # who has gone is noticed when something is sent
            return feed.followers

        opened = [await open_one("192.0.2.1") for _ in range(2)]
        assert await status("192.0.2.1") == 429
        assert await status("192.0.2.2") == 200
        opened[0].close()
        await wait_until(left, 1)
        assert await status("192.0.2.1") == 200
        opened[1].close()
        await wait_until(left, 0)


async def test_a_stream_that_nobody_reads_is_ended(
    url: str, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web.pages.stream, "SLOW_S", 0.1)
    port = urlsplit(url).port or 0
    with socket.socket() as silent:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        silent.connect((ADDRESS, port))
        silent.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await wait_until(lambda: feed.followers, 1)
        sent = 0

        def follower_after_a_tick() -> int:
            nonlocal sent
            feed.publish({"at": sent, "text": "x" * 16_000}, {})
            sent += 16_000
            return feed.followers

        await wait_until(follower_after_a_tick, 0, every_s=0.01)
        assert sent < 1_000_000  # what the system holds is little
