"""An aiohttp handler on uvloop that decodes any JSON event and answers OK at once."""

from __future__ import annotations

import asyncio

import msgspec
import uvloop
from aiohttp import web

from bench.support.peer import given, say


class Event(msgspec.Struct):
    """What it decodes; queries have no type."""

    url: str
    type: str | None = None
    uuid: str | None = None
    ip: str | None = None


async def serve(port: int) -> None:
    """Serve for ever, any method and path."""
    decode = msgspec.json.Decoder(Event).decode

    async def answer(request: web.Request) -> web.Response:
        decode(await request.read())
        return web.Response(body=b"OK")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    say(ready=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(**given()))
