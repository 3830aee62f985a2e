"""A caller who means harm: bodies that are huge, deep, packed, cut off or full of faults."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import random
import zlib
from collections import Counter
from contextlib import suppress
from urllib.parse import urlsplit

import aiohttp

TIMEOUT = aiohttp.ClientTimeout(total=90)
PAUSE_S = 3.0
STREAMS = 20  # that nobody reads, at the same time
BOMB_MB = 1000
ANSWERS = {200, 400, 408, 413, 415, 429, 503}
MB = 1_000_000


def bodies() -> dict[str, bytes]:
    """Return bodies by what they are, packed; none holds an event."""
    deep = b'{"type":1,"x":[%b]}' % b",".join([b"[]"] * 9000)
    long = b'{"type":1,"user_id":"%b"}' % (b"u" * 30_000)
    given = {
        "100,000 zeros": b"0\n" * 100_000,
        "100,000 events with a number as type": b'{"type":1}\n' * 100_000,
        "100,000 impossible times": b'{"type":"a","timestamp":"2024-13-01T00:00:00Z"}\n' * 100_000,
        "600 events with 9,000 brackets each": b"\n".join([deep] * 600),
        "500 events with ids of 30 KB": b"\n".join([long] * 500),
        "an array of eight million zeros": b"[" + b"0," * (8 * MB - 1) + b"0]",
        "16 million line ends": b"\n" * 16 * MB,
    }
    return {name: gzip.compress(body, 1) for name, body in given.items()} | {"a bomb": bomb()}


def bomb() -> bytes:
    """Return a gzip of BOMB_MB of blanks."""
    packer, blanks = zlib.compressobj(9, wbits=31), b" " * MB
    return b"".join([*(packer.compress(blanks) for _ in range(BOMB_MB)), packer.flush()])


class Hostile:
    """Use run(); done: how often what was sent, by status."""

    def __init__(self, url: str, rng: random.Random) -> None:
        self._url, self._rng = url, rng
        self.done: Counter[str] = Counter()

    async def run(self) -> None:
        """Send one after the other, until cancelled."""
        given = await asyncio.to_thread(bodies)
        async with aiohttp.ClientSession(self._url, timeout=TIMEOUT) as http:
            streams = asyncio.create_task(self._stare())
            try:
                for name in itertools.cycle([*given, "a body without its end"]):
                    with suppress(aiohttp.ClientError, OSError, TimeoutError):
                        if name in given:
                            await self._post(http, name, given[name])
                        else:
                            await self._hang_up()
                    await asyncio.sleep(PAUSE_S * self._rng.random() * 2)
            finally:
                streams.cancel()

    async def _post(self, http: aiohttp.ClientSession, name: str, body: bytes) -> None:
        headers = {"Content-Encoding": "gzip", "Content-Type": "application/x-ndjson"}
        async with http.post("/events", data=body, headers=headers) as answer:
            self.done[f"{name}: {answer.status}"] += 1
            assert answer.status in ANSWERS, (name, answer.status, await answer.text())
            if answer.status == 200:
                assert (await answer.json())["accepted"] == 0, name

    async def _hang_up(self) -> None:
        """Promise 16 MB, send 15, and go."""
        address = urlsplit(self._url)
        _, writer = await asyncio.open_connection(address.hostname, address.port)
        head = "POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16000000\r\n\r\n"
        writer.write(head.encode() + bytes(15 * MB))
        await writer.drain()
        writer.close()
        self.done["a body without its end"] += 1

    async def _stare(self) -> None:
        """Open streams that nobody reads, and let each go after a while."""
        address = urlsplit(self._url)
        writers: list[asyncio.StreamWriter] = []
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection(address.hostname, address.port)
                writer.write(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
                writers.append(writer)
            if len(writers) > STREAMS:
                writers.pop(0).transport.abort()
            await asyncio.sleep(PAUSE_S)
