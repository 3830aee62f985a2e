"""Answers with a ready-made head: the bytes are those that aiohttp sends."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from app.stack.ports import free_port
from tests.support.http import Http
from web.http.quick import QuickResponse

TYPE = "application/json"
LAST = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
REQUESTS = (
    b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}" + LAST,
    b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n" + LAST,
    b"GET /x HTTP/1.0\r\n\r\n",
    b"GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + LAST,
)


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    """A server that answers /quick and other paths in either way."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        body = request.path.encode() * 2
        if request.path.startswith("/quick"):
            return QuickResponse(body, TYPE)
        return web.Response(body=body, headers={"Content-Type": TYPE})

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    async with aiohttp.ClientSession() as session:
        yield Http(session, f"http://127.0.0.1:{port}")
    await runner.cleanup()


def undated(answer: bytes) -> bytes:
    return re.sub(rb"Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n", b"Date: D\r\n", answer)


@pytest.mark.parametrize("request_bytes", REQUESTS)
async def test_all_bytes_are_as_aiohttp_sends_them(http: Http, request_bytes: bytes) -> None:
    quick, plain = [
        undated(await http.raw(request_bytes.replace(b"/x", path)))
        for path in (b"/quick", b"/plain")
    ]
    assert quick == plain.replace(b"/plain", b"/quick")
    assert b"Date: D\r\n" in quick
