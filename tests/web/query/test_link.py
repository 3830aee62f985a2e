"""A count worker's end of the link, and those who have no business there."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import cast

import aiohttp
import aiohttp.web
import faust
import pytest

import web.query.link
from app.settings import Settings
from app.stack.ports import free_port
from app.transport.ownership import Ownership
from web.http import paths
from web.http.server import Server
from web.query.link import encode
from web.query.messages import Answer, Query
from web.query.queries import Queries


async def answered_too_late(request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
    """Answer as a worker that was frozen, to somebody who waits no more."""
    assert request.transport is not None
    request.transport.close()
    socket = aiohttp.web.WebSocketResponse()
    await socket.prepare(request)
    return socket


@pytest.fixture
async def link() -> AsyncIterator[str]:
    """Return the URL of a count worker's link; it answers /counters."""
    port = free_port()
    app = faust.App("worker", web_bind="127.0.0.1", web_host="127.0.0.1", web_port=port)
    app.web = Server(app, Settings())
    queries = Queries(app, cast("Ownership", None))
    queries.add(paths.COUNTERS, lambda _: Answer.json([]))
    web.query.link.register(app, queries)
    app.web.web_app.router.add_get("/late", answered_too_late)
    await app.web.start()
    yield f"http://127.0.0.1:{port}{paths.QUERIES_LINK.path}"
    await app.web.stop()


@pytest.mark.parametrize(
    ("junk", "code"),
    [
        (b"junk", aiohttp.WSCloseCode.INVALID_TEXT),
        (b"", aiohttp.WSCloseCode.INVALID_TEXT),
        (b"\x90", aiohttp.WSCloseCode.INVALID_TEXT),
        ("junk", aiohttp.WSCloseCode.UNSUPPORTED_DATA),
    ],
)
async def test_junk_ends_the_link_with_a_code(
    link: str, junk: bytes | str, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with aiohttp.ClientSession() as session, session.ws_connect(link) as socket:
        await socket.send_bytes(encode([(1, Query("GET", "/counters"))]))
        assert (await socket.receive()).type is aiohttp.WSMsgType.BINARY
        await (socket.send_str(junk) if isinstance(junk, str) else socket.send_bytes(junk))
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == code
    assert caplog.records == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:8000"},
        {"Origin": "null"},
        {"Host": "evil.example"},
    ],
)
async def test_a_web_page_gets_no_link(link: str, headers: dict[str, str]) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
            await session.ws_connect(link, headers=headers)
        assert raised.value.status == 403


async def test_who_hangs_up_before_the_answer_is_no_error(
    link: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await session.ws_connect(link.replace(paths.QUERIES_LINK.path, "/late"))
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
