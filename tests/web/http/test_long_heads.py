"""A head without an end is refused long before it has come."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from tests.support.http import Http

HEAD_BYTES = 100_000_000
TAKEN_BYTES = 20_000_000  # more than the buffers of both ends hold
PIECE = 65_536
LINE = b"PUT /event_generate/ HTTP/1.1\r\nHost: localhost\r\n"


def many_headers(number: int) -> bytes:
    """Return some of a head with millions of headers."""
    return b"".join(b"X-%d-%d: %b\r\n" % (number, at, b"x" * 1000) for at in range(64))


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (b"GET /", lambda _: b"x" * PIECE),
        (LINE + b"X-Long: ", lambda _: b"x" * PIECE),
        (LINE + b"X-", lambda _: b"x" * PIECE),
        (LINE, many_headers),
    ],
    ids=["address", "value", "name", "number"],
)
async def test_a_head_of_100_mb_is_refused(
    http: Http, begin: bytes, piece: Callable[[int], bytes]
) -> None:
    address = urlsplit(http.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    answering, sent = asyncio.create_task(reader.read()), 0
    writer.write(begin)
    with suppress(ConnectionError):  # it hangs up, perhaps before we have read what it says
        for number in itertools.count():
            if answering.done() or sent > HEAD_BYTES:
                break
            writer.write(more := piece(number))
            sent += len(more)
            await writer.drain()
            await asyncio.sleep(0)
    (answer,) = await asyncio.gather(answering, return_exceptions=True)
    writer.transport.abort()
    assert sent < TAKEN_BYTES
    if not isinstance(answer, ConnectionError):
        assert isinstance(answer, bytes)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert (head.split()[1], json.loads(body)["code"]) == (b"400", "bad_request")
    assert (await http.get("/health")).status == 200
