"""A receiver of webhooks on this machine, that may be away or answer anything."""

from __future__ import annotations

import json
from typing import Any, Self

from aiohttp import web

from app.alerting.webhook import ID
from app.stack.ports import free_port


class Receiver:
    """Use as an async context manager; it is away until opened.

    statuses: of the next answers; none left: 200. calls: (headers, body) of all that came.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/hook?token=t"
        self.statuses: list[int] = []
        self.retry_after = ""
        self.calls: list[tuple[Any, bytes]] = []
        self._runner: web.ServerRunner | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Begin to answer."""
        self._runner = web.ServerRunner(web.Server(self._answer))
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()

    async def close(self) -> None:
        """Go away."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    @property
    def ids(self) -> list[str]:
        """The ids of all calls."""
        return [headers[ID] for headers, _ in self.calls]

    @property
    def keys(self) -> list[str]:
        """The counted keys of all calls."""
        return [json.loads(body)["key"] for _, body in self.calls]

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        self.calls.append((request.headers, await request.read()))
        status = self.statuses.pop(0) if self.statuses else 200
        headers = {"Retry-After": self.retry_after} if self.retry_after else {}
        return web.Response(status=status, headers=headers)
