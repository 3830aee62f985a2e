"""Request bodies: packed or not, whole or cut, and never more of them than fit."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import socket
import struct
import zlib
from urllib.parse import urlsplit

import pytest

from app.errors import BadRequestError, BodyTooLargeError
from app.names import Names
from tests.conftest import MakeSettings
from tests.support.http import Http
from tests.support.kafka_client import KafkaClient
from tests.support.turns import turns_of
from tests.support.waiting import wait_until
from tests.web.conftest import Serve
from web.http import bodies
from web.http.bodies import GZIP, ZLIB, Bodies, Holding, unpack

EVENTS = b"\n".join(b'{"type":"A","url":"/%d"}' % number for number in range(500))
PACKED = gzip.compress(EVENTS, mtime=0)
MOST = 1 << 20
HANG_UP = struct.pack("ii", 1, 0)  # SO_LINGER: with a reset


def holding() -> Holding:
    return Holding(Bodies(MOST, 4 * MOST))


@pytest.mark.parametrize(
    ("packed", "window_bits"),
    [
        (PACKED, GZIP),
        (gzip.compress(EVENTS[:100]) + gzip.compress(EVENTS[100:]), GZIP),
        (zlib.compress(EVENTS), ZLIB),
        (zlib.compress(EVENTS, wbits=-15), ZLIB),
    ],
)
async def test_what_is_packed_is_unpacked(packed: bytes, window_bits: int) -> None:
    assert await unpack(packed, window_bits, holding(), MOST) == EVENTS


@pytest.mark.parametrize("kept", [*range(0, len(PACKED), 97), len(PACKED) - 8, len(PACKED) - 1])
async def test_what_is_cut_off_is_refused_wherever_it_is_cut(kept: int) -> None:
    with pytest.raises(BadRequestError):
        await unpack(PACKED[:kept], GZIP, holding(), MOST)


@pytest.mark.parametrize("behind", [b"\0", b"x", PACKED[:20]])
async def test_what_stands_behind_is_refused(behind: bytes) -> None:
    with pytest.raises(BadRequestError):
        await unpack(PACKED + behind, GZIP, holding(), MOST)
    with pytest.raises(BadRequestError):
        await unpack(zlib.compress(EVENTS) + behind, ZLIB, holding(), MOST)


async def test_a_bomb_is_unpacked_in_turns_and_no_further_than_the_limit() -> None:
    held = holding()
    assert await turns_of(unpack(gzip.compress(b" " * 1000) * 900, GZIP, held, MOST)) >= 900
    held.release()
    with pytest.raises(BodyTooLargeError):
        await turns_of(unpack(gzip.compress(b" " * 20 * MOST), GZIP, held, MOST))
    assert held.bytes <= MOST
    with pytest.raises(BadRequestError):
        await unpack(gzip.compress(b"") * 2000, GZIP, holding(), MOST)


async def test_half_a_packed_body_stores_nothing(
    http: Http, kafka: KafkaClient, topics: Names
) -> None:
    for cut in (len(PACKED) // 2, len(PACKED) - 4):
        got = await http.post("/events", PACKED[:cut], Content_Encoding="gzip")
        assert (got.status, got.json["code"]) == (400, "bad_request")
    assert await kafka.values(topics.events) == []
    got = await http.post("/events", PACKED, Content_Encoding="X-GZIP")
    assert got.json["accepted"] == 500


@pytest.mark.parametrize("coding", ["br", "zstd", "junk", "gzip, gzip", "compress"])
async def test_another_coding_is_named(http: Http, coding: str) -> None:
    got = await http.post("/events", b'{"type":"A"}', Content_Encoding=coding)
    assert (got.status, got.json["code"]) == (415, "unsupported_encoding")
    assert coding in got.json["message"]
    assert got.headers["Accept-Encoding"] == "gzip, deflate"


async def test_expectations_are_answered_in_json(http: Http) -> None:
    got = await http.post("/events", b'{"type":"A"}', Expect="junk")
    assert (got.status, got.json["code"]) == (417, "expectation_failed")
    answer = await http.raw(
        b"POST /events HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
        b'Content-Length: 12\r\nConnection: close\r\n\r\n{"type":"A"}'
    )
    assert answer.startswith(b"HTTP/1.1 100 ")
    assert b'{"accepted":1,' in answer


async def test_a_query_may_have_64_kilobytes(http: Http) -> None:
    got = await http.post("/event_track/", b'{"url":"' + b"x" * 70_000 + b'"}')
    assert (got.status, got.json["code"]) == (413, "body_too_large")
    packed = gzip.compress(b'{"url":"' + b"x" * 70_000 + b'"}')
    got = await http.post("/event_track/", packed, Content_Encoding="gzip")
    assert (got.status, got.json["code"]) == (413, "body_too_large")


async def test_bodies_that_never_end_are_bounded_and_forgotten(
    serve: Serve, make_settings: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    http = await serve(await make_settings(body_max_bytes=65_536 * 2))
    held = http.server.limits.bodies
    address = urlsplit(http.url)
    opened = []
    head = b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 131072\r\n\r\n"
    with caplog.at_level(logging.INFO):
        for place in range(1, 13):
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            writer.write(head + b"x" * 130_000)
            opened.append((reader, writer))
            if place <= 8:  # as many as fit, and the others come after them
                await wait_until(lambda: held.held_bytes, place * 130_000)
        assert held.held_bytes <= held.all_max_bytes
        told = [await reader.read(1000) for reader, _ in opened[8:]]
        assert all(answer.startswith(b"HTTP/1.1 429 ") for answer in told)
        for _, writer in opened:
            writer.close()
        await wait_until(lambda: held.held_bytes, 0)
    assert [record for record in caplog.records if record.exc_info] == []
    ours = [record for record in caplog.records if record.name.startswith(("web", "aiohttp"))]
    assert ours == []


async def test_a_body_that_takes_too_long_is_told_so(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BODY_TIMEOUT_S", 0.1)
    for part in (b"", b"{"):
        head, body = await http.told(
            b"PUT /event_generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90\r\n"
            b"Connection: close\r\n\r\n" + part
        )
        assert head.startswith(b"HTTP/1.1 408 ")
        assert json.loads(body)["code"] == "request_timeout"


@pytest.mark.parametrize("reset", [False, True])
async def test_who_hangs_up_within_a_body_is_no_error(
    http: Http, caplog: pytest.LogCaptureFixture, *, reset: bool
) -> None:
    address, calls = urlsplit(http.url), ("/events", "/event_generate/", "/track", "/event_track/")
    with caplog.at_level(logging.INFO):
        for path in calls:
            for size in (0, 1, 5000):
                _, writer = await asyncio.open_connection(address.hostname, address.port)
                head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\n"
                writer.write(head.encode() + b"{" * size)
                await writer.drain()
                if reset:
                    connection = writer.get_extra_info("socket")
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, HANG_UP)
                writer.close()
        await wait_until(lambda: http.server.limits.connections, lambda many: many <= 1)
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
