"""A TCP proxy in front of a real server that cuts or stills the network on command."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self
from urllib.parse import urlsplit, urlunsplit


class CuttingProxy:
    """Use as an async context manager; url is the server's, with the proxy's address.

    lose_answer_to: bytes of a request; the first one that holds them reaches the server, its
    answer is lost, and the connection dies. still: while true, nothing passes either way; it gets
    true by itself after still_after bytes of requests.
    """

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self.lose_answer_to: bytes | None = None
        self.still = False
        self.still_after: int | None = None
        self.url = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        login, at, _ = self._parts.netloc.rpartition("@")
        self.url = urlunsplit(self._parts._replace(netloc=f"{login}{at}127.0.0.1:{port}"))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.still = False
        self.cut()
        await asyncio.gather(*self._tasks)

    @property
    def connected(self) -> bool:
        """Whether anybody has a connection."""
        return bool(self._writers)

    def lead_to(self, url: str) -> None:
        """Lead new connections to another server."""
        self._parts = urlsplit(url)

    def cut(self) -> None:
        """End all connections."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        ends = {writer}
        try:
            behind, server = await asyncio.open_connection(self._parts.hostname, self._parts.port)
            ends.add(server)
            self._writers |= ends
            async with asyncio.TaskGroup() as group:
                answers = group.create_task(self._pass(behind, writer))
                group.create_task(self._pass(reader, server, answers))
        except* (OSError, EOFError):
            pass
        finally:
            for end in ends:
                end.transport.abort()
            self._writers -= ends
            self._tasks.discard(task)

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answers: asyncio.Task[None] | None = None,
    ) -> None:
        while data := await reader.read(65_536):
            if answers is not None and self.still_after is not None:
                self.still_after -= len(data)
                if self.still_after < 0:
                    self.still, self.still_after = True, None
            while self.still:
                await asyncio.sleep(0.01)
            lost = self.lose_answer_to is not None and self.lose_answer_to in data
            if lost and answers is not None:
                self.lose_answer_to = None
                answers.cancel()
            if writer.is_closing():  # uvloop raises RuntimeError for a write
                break
            writer.write(data)
            await writer.drain()
            if lost and answers is not None:
                await self._pass_rest(reader, writer)
                break
        raise EOFError

    async def _pass_rest(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass what the request still has: a body often comes apart from its head."""
        with contextlib.suppress(TimeoutError):
            # The server needs far less to answer, where this was all.
            while data := await asyncio.wait_for(reader.read(65_536), 0.3):
                if writer.is_closing():
                    break
                writer.write(data)
