"""A count worker's end of the link, and those who have no business there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import cast

import aiohttp
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


@pytest.fixture
async def link() -> AsyncIterator[str]:
    """Return the URL of a count worker's link; it answers /counters."""
    port = free_port()
    app = faust.App("worker", web_bind="127.0.0.1", web_host="127.0.0.1", web_port=port)
    app.web = Server(app, Settings())
    queries = Queries(app, cast("Ownership", None))
    queries.add(paths.COUNTERS, lambda _: Answer.json([]))
    web.query.link.register(app, queries)
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
