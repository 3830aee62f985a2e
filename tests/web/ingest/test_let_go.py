"""What a request brought is free again once it is answered, and does not wait for a collection."""

from __future__ import annotations

import gc
import gzip
from collections.abc import Iterator
from pathlib import Path
from types import CoroutineType, FrameType
from typing import Any

import pytest

from tests.support.http import Http

WEB = str(Path(__file__).parents[3] / "web")
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


@pytest.fixture
def kept() -> Iterator[list[Any]]:
    """Yield what only a collection would free; it is empty until gc.collect()."""
    gc.collect()
    gc.freeze()  # what was there before is looked at no more
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.unfreeze()
        gc.enable()


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
    frames = [one.cr_frame if isinstance(one, CoroutineType) else one for one in kept]
    ours = {
        f"{one.f_code.co_filename}:{one.f_lineno}"
        for one in frames
        if isinstance(one, FrameType) and one.f_code.co_filename.startswith(WEB)
    }
    assert not ours
