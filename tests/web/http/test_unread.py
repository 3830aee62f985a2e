"""Answers that nobody reads: counted while they wait, and not for long."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import pytest

from app.errors import OverloadedError
from app.names import Names
from tests.conftest import MakeSettings
from tests.support.http import Http
from tests.support.kafka_client import KafkaClient
from tests.support.waiting import wait_until
from tests.web.conftest import Serve
from web.http import connections
from web.http.bodies import Bodies, Holding
from web.ingest.bodies import ITEMS_MAX

BAD, GOOD = b"0\n", b'{"type":"A"}\n'
LONG_ANSWER = 10_000_000  # of ITEMS_MAX bad lines


@contextmanager
def silent(http: Http, request: bytes) -> Iterator[socket.socket]:
    """Send a request and read nothing of its answer."""
    address = urlsplit(http.url)
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect((address.hostname, address.port))
        one.sendall(request)
        yield one


def packed(body: bytes) -> bytes:
    sent = gzip.compress(body)
    head = "POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\n"
    return f"{head}Content-Length: {len(sent)}\r\n\r\n".encode() + sent


async def test_an_answer_that_nobody_reads_is_counted_and_given_up(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = http.server.limits.bodies
    answer = (await http.post("/events", BAD * ITEMS_MAX)).body
    assert len(answer) > LONG_ANSWER
    await wait_until(lambda: held.held_bytes, 0)
    before = http.server.limits.connections
    monkeypatch.setattr(connections, "SLOW_S", 0.5)
    monkeypatch.setattr(connections, "SLOW_BYTES_PER_S", 1 << 40)
    with silent(http, packed(BAD * ITEMS_MAX)):
        await wait_until(lambda: held.held_bytes, len(answer), every_s=0.01)
        await wait_until(lambda: http.server.limits.connections, before)
    assert held.held_bytes == 0


async def test_answers_to_many_small_requests_do_not_gather_without_end(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SLOW_S", 0.5)
    before = http.server.limits.connections
    many = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20_000
    with silent(http, b"") as one:
        await wait_until(lambda: http.server.limits.connections, before + 1)
        one.setblocking(False)  # noqa: FBT003 - as its own signature has it
        sent = 0

        def connections_after_more() -> int:
            nonlocal sent
            with suppress(BlockingIOError, ConnectionError):
                sent += one.send(many[sent % len(many) :])
            return int(http.server.limits.connections)

        await wait_until(connections_after_more, before, every_s=0.01)


async def test_what_the_errors_of_a_body_will_take_is_counted_before_any_is_stored(
    serve_ready: Serve, make_settings: MakeSettings, kafka: KafkaClient
) -> None:
    settings = await make_settings(body_max_bytes=65_536)
    http = await serve_ready(settings)
    bodies = http.server.limits.bodies
    mixed = GOOD * 2000 + BAD * 10_000
    other = Holding(bodies)
    other.grow(bodies.all_max_bytes - 200_000)
    got = await http.post("/events", mixed)
    assert (got.status, got.json["code"]) == (429, "overloaded")
    assert await kafka.values(Names(settings.namespace).events) == []
    other.release()
    got = await http.post("/events", mixed)
    assert (got.json["accepted"], got.json["rejected"]) == (2000, 10_000)
    await wait_until(lambda: bodies.held_bytes, 0)


def test_a_request_that_is_alone_may_have_more_than_all_together() -> None:
    bodies = Bodies(10, 80)
    alone, other = Holding(bodies), Holding(bodies)
    alone.grow(50)
    alone.grow(50)
    with pytest.raises(OverloadedError):
        other.grow(1)
    alone.release()
    other.grow(1)
    with pytest.raises(OverloadedError):
        alone.grow(80)
    assert bodies.held_bytes == 1
