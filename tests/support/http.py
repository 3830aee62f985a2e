"""A small HTTP client for tests: a call in, status, headers and bytes out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from tests.support.waiting import SOON_S


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Http:
    """Calls one server."""

    def __init__(self, session: aiohttp.ClientSession, url: str, server: Any = None) -> None:
        """server: the one that is called, where it is in this process."""
        self._session = session
        self.url = url
        self.server = server

    async def call(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> Answer:
        """Send a request as it is; headers: with _ for -."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._session.request(
            method,
            URL(self.url + path, encoded=True),
            data=body,
            headers=named,
            allow_redirects=False,
        ) as answer:
            return Answer(answer.status, await answer.read(), dict(answer.headers))

    async def get(self, path: str) -> Answer:
        """GET a path."""
        return await self.call("GET", path)

    async def post(self, path: str, body: bytes, **headers: str) -> Answer:
        """POST a body."""
        return await self.call("POST", path, body, **headers)

    async def raw(self, request: bytes) -> bytes:
        """Send bytes that need not be HTTP; return all that comes until the server hangs up."""
        async with self._sent(request) as reader:
            return await reader.read()

    async def told(self, request: bytes) -> tuple[bytes, bytes]:
        """Send likewise; return head and body of the answer, however long the server lingers."""
        async with self._sent(request) as reader:
            head = await reader.readuntil(b"\r\n\r\n")
            _, _, length = head.partition(b"\r\nContent-Length: ")
            return head, await reader.readexactly(int(length.split(b"\r\n")[0]))

    @asynccontextmanager
    async def _sent(self, request: bytes) -> AsyncIterator[asyncio.StreamReader]:
        address = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(request)
        try:
            async with asyncio.timeout(SOON_S):
                yield reader
        finally:
            writer.close()
            await writer.wait_closed()
