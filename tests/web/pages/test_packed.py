"""The files of the pages and the script for websites are sent packed to those who take it."""

from __future__ import annotations

import gzip

import pytest

from tests.conftest import MakeSettings
from tests.support.http import Answer, Http
from tests.web.conftest import Serve
from web.pages.files import STATIC
from web.pages.install import SMALL_TRACKER

TAKES_GZIP = [
    "gzip",
    "GZIP",
    "gzip, deflate, br, zstd",
    "br;q=1.0, gzip;q=0.8, *;q=0.1",
    "identity,gzip;q=0.001",
    "gzip ; Q=0.5",
    "*",
    "*;q=0, gzip",
]
TAKES_NONE = [
    "",
    "identity",
    "br, deflate",
    "gzip;q=0",
    "gzip; q=0.000",
    "gzip;Q=0.0, deflate",
    "*;q=0",
    "gzip;q=0, *",
    "gzipped, not-gzip",
]
TWICE = b"Accept-Encoding: br\r\nAccept-Encoding: gzip\r\n"
PATHS = ("/tracker.js", "/", "/explore", "/static/base.css", "/static/uPlot.esm.js")


@pytest.fixture
async def away(serve: Serve, make_settings: MakeSettings) -> Http:
    """Return a client of a collector; Kafka and its count worker are away."""
    away = {"kafka": "127.0.0.1:1", "count_urls": "http://127.0.0.1:1"}
    return await serve(await make_settings(**away))


def sent_bytes(answer: Answer) -> int:
    """Return how much of a body came over the wire."""
    return int(answer.headers["Content-Length"])


async def test_the_script_is_less_than_two_kilobytes_on_its_way(away: Http) -> None:
    answer = await away.call("GET", "/tracker.js", Accept_Encoding="gzip")
    assert (answer.status, answer.headers["Content-Encoding"]) == (200, "gzip")
    assert sent_bytes(answer) < 2000
    assert answer.body == SMALL_TRACKER.read_bytes()
    head = await away.call("HEAD", "/tracker.js", Accept_Encoding="gzip")
    same = ("Content-Length", "Content-Encoding", "Content-Type", "Etag", "Vary", "Cache-Control")
    assert [head.headers[name] for name in same] == [answer.headers[name] for name in same]


@pytest.mark.parametrize("path", PATHS)
async def test_packed_and_plain_are_the_same_and_have_tags_of_their_own(
    away: Http, path: str
) -> None:
    packed = await away.call("GET", path, Accept_Encoding="gzip")
    plain = await away.call("GET", path, Accept_Encoding="identity")
    assert packed.body == plain.body
    assert sent_bytes(packed) < sent_bytes(plain) == len(plain.body)
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
    assert packed.headers["Content-Type"] == plain.headers["Content-Type"]
    assert packed.headers["Etag"] != plain.headers["Etag"]
    for coding, own, other in (("gzip", packed, plain), ("identity", plain, packed)):
        tag = own.headers["Etag"]
        tags = {tag: 304, f"W/{tag}": 304, f'"x", {tag}': 304, other.headers["Etag"]: 200}
        tags |= {"*": 304, " * ": 304, '"*"': 200, "": 200}
        for given, status in tags.items():
            answer = await away.call("GET", path, Accept_Encoding=coding, If_None_Match=given)
            assert answer.status == status, (coding, given)
            assert answer.headers["Vary"] == "Accept-Encoding"
            assert answer.headers["Etag"] == tag
            head = await away.call("HEAD", path, Accept_Encoding=coding, If_None_Match=given)
            assert head.status == status, (coding, given)
            if status == 304:
                assert answer.body == b""
                assert "Content-Encoding" not in answer.headers


@pytest.mark.parametrize("path", ["/tracker.js", "/static/base.css"])
async def test_who_does_not_take_it_gets_it_plain(away: Http, path: str) -> None:
    for header, coding in [(one, "gzip") for one in TAKES_GZIP] + [(one, "") for one in TAKES_NONE]:
        answer = await away.call("GET", path, Accept_Encoding=header)
        assert answer.headers.get("Content-Encoding", "") == coding, header
    head = b"GET %b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%b\r\n"
    for more, is_packed in ((b"", False), (TWICE, True)):
        told = await away.raw(head % (path.encode(), more))
        assert (b"\r\nContent-Encoding: gzip\r\n" in told) == is_packed, more


async def test_every_file_comes_out_as_it_went_in(away: Http) -> None:
    for path in STATIC.iterdir():
        host = b"GET /static/%b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" % path.name.encode()
        answer = await away.raw(host + b"Accept-Encoding: gzip\r\n\r\n")
        assert gzip.decompress(answer.partition(b"\r\n\r\n")[2]) == path.read_bytes(), path
