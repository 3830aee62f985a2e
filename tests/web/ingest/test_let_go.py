"""What a request brought is free again once it is answered, and does not wait for a collection."""

from __future__ import annotations

import gc
import gzip
from typing import Any

import pytest

from tests.support.http import Http
from tests.support.kept import frames_in

ONE, LINES = b'{"type":"CLICK","url":"/a"}', b'{"type":"CLICK"}\n{"type":"VIEW"}\n'
BAD = b'{"type":7}\n{"url":"/a"}\n'
CASES = {
    "one": ("PUT", "/event_generate/", ONE),
    "refused": ("PUT", "/event_generate/", b"{"),
    "one of many": ("POST", "/events", ONE),
    "lines": ("POST", "/events", LINES),
    "bad lines": ("POST", "/events", BAD),
    "array": ("POST", "/events", b"[" + ONE + b"," + ONE + b"]"),
    "bad items": ("POST", "/events", b"[" + ONE + b",7,}]"),
    "no JSON": ("POST", "/events", b"\xff{"),
    "nothing": ("POST", "/events", b""),
    "packed": ("POST", "/events", gzip.compress(LINES)),
    "badly packed": ("POST", "/events", gzip.compress(LINES)[:-9]),
    "no path": ("POST", "/nowhere", LINES),
    "segment": ("POST", "/v1/batch", b'{"batch":[{"type":"track","event":"a","userId":"u"}]}'),
    "umami": ("POST", "/api/send", b'{"type":"event","payload":{"website":"w","url":"/"}}'),
    "plausible": ("POST", "/api/event", b'{"name":"pageview","url":"http://a/b","domain":"a"}'),
}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
async def test_no_frame_is_in_a_cycle(
    http: Http, kept: list[Any], case: tuple[str, str, bytes]
) -> None:
    """One that is keeps the body with all its events: 500 MB of them at 20,000 events/s."""
    method, path, body = case
    headers = {"Content_Encoding": "gzip"} if body.startswith(b"\x1f\x8b") else {}
    for _ in range(3):
        await http.call(method, path, body, **headers)
    gc.collect()
    assert not frames_in(kept, "web")
