"""A light HTTP client: keeps every connection busy with prebuilt requests and counts answers.

As a process of its own: `python -m bench.support.load_client` reads a Load from stdin, in
MessagePack, and says an Outcome in JSON. About 10 us of a core for a request.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from bench.support.peer import running, say

HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"
DRAIN_S = 5.0
NO_MORE: Mapping[str, str] = {}


class Load(msgspec.Struct):
    """What to send: the requests in turn, over so many connections.

    warmup_s: sent before, not counted. rate: requests per second of all connections; 0: each
    sends the next one when the answer is there. must_hold: bytes that each good answer contains.
    """

    port: int
    connections: int
    seconds: float
    requests: list[bytes]
    warmup_s: float = 1.0
    rate: float = 0.0
    must_hold: bytes = b""


class Outcome(msgspec.Struct):
    """What came of it; latencies in ms, of good answers."""

    per_second: float
    good: int
    bad: int
    p50_ms: float
    p99_ms: float
    first_bad: str = ""


class Client:
    """All connections together."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.numbers = count()
        self.begin = time.perf_counter() + load.warmup_s
        self.end = self.begin + load.seconds
        self.latencies: list[float] = []
        self.bad = 0
        self.first_bad = b""
        self.interval = load.connections / load.rate if load.rate else 0.0
        self.open = 0

    def next_request(self) -> bytes:
        """Return the next request."""
        requests = self.load.requests
        return requests[next(self.numbers) % len(requests)]

    def answered(self, sent: float, answer: bytes) -> None:
        """Count an answer that began to be asked for at `sent`."""
        now = time.perf_counter()
        if not answer.startswith(b"HTTP/1.1 200") or self.load.must_hold not in answer:
            self.bad += 1
            self.first_bad = self.first_bad or answer[:500]
        elif self.begin <= now < self.end:
            self.latencies.append(now - sent)

    async def run(self) -> Outcome:
        """Send until the time is over, then wait for the last answers."""
        loop = asyncio.get_running_loop()
        for number in range(self.load.connections):
            delay = self.interval * number / self.load.connections
            await loop.create_connection(
                partial(Connection, self, delay), "127.0.0.1", self.load.port
            )
        await asyncio.sleep(self.end - time.perf_counter())
        until = time.perf_counter() + DRAIN_S
        while self.open and time.perf_counter() < until:
            await asyncio.sleep(0.01)
        ordered = sorted(self.latencies) or [0.0]
        return Outcome(
            per_second=len(self.latencies) / self.load.seconds,
            good=len(self.latencies),
            bad=self.bad + self.open,
            p50_ms=ordered[len(ordered) // 2] * 1000,
            p99_ms=ordered[len(ordered) * 99 // 100] * 1000,
            first_bad=self.first_bad.decode("latin-1"),
        )


class Connection(asyncio.Protocol):
    """One keep-alive connection with one request on its way."""

    def __init__(self, client: Client, delay_s: float) -> None:
        self._client, self._delay = client, delay_s
        self._got = b""
        self._sent = self._slot = 0.0

    def connection_made(self, transport: Any) -> None:
        """Send the first request."""
        self._transport = transport
        self._slot = time.perf_counter() + self._delay
        self._client.open += 1
        asyncio.get_running_loop().call_later(self._delay, self._send)

    def connection_lost(self, _exc: Exception | None) -> None:
        """The server has ended it: its request is counted as bad, and no other is sent."""
        if self._sent:
            self._client.bad += 1
        self._client.open -= 1

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer; on its end send the next request."""
        got = self._got = self._got + data if self._got else data
        head = got.find(HEAD_END)
        if head < 0 or len(got) < head + len(HEAD_END) + length_of(got[:head]):
            return
        self._got = b""
        self._client.answered(self._sent, got)
        self._sent = 0.0
        if time.perf_counter() >= self._client.end:
            self._transport.close()
        elif self._client.interval:
            self._slot += self._client.interval
            wait = max(0.0, self._slot - time.perf_counter())
            asyncio.get_running_loop().call_later(wait, self._send)
        else:
            self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._client.next_request())


def length_of(head: bytes) -> int:
    """Return the Content-Length of an answer."""
    low = head.lower()
    at = low.find(LENGTH)
    if at < 0:
        raise ValueError(f"no length in {head!r}")
    return int(low[at + len(LENGTH) :].partition(b"\r\n")[0])


def request(method: str, path: str, body: bytes, headers: Mapping[str, str] = NO_MORE) -> bytes:
    """Return the bytes of a request; headers: beside those that each has."""
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"{more}Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


async def put_load(load: Load, log: Path) -> Outcome:
    """Run the client as its own process; raise SystemExit when an answer was not good."""
    packed = msgspec.msgpack.encode(load)
    async with running("bench.support.load_client", log, stdin=packed) as client:
        outcome = msgspec.convert(await client.says(), Outcome)
    if outcome.bad or not outcome.good:
        raise SystemExit(f"{outcome.bad} bad answers, {outcome.good} good: {outcome.first_bad}")
    return outcome


async def main() -> None:
    """Be the process."""
    load = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Load)
    say(**msgspec.to_builtins(await Client(load).run()))


if __name__ == "__main__":
    uvloop.run(main())
