"""Lines of access logs: what each becomes, or why not."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from app.errors import InvalidFieldError, MalformedLineError, RejectedError
from app.events.access_log import line_uuid, parse_line
from app.events.event import encode
from tests.support.random_events import NOW_MS

CASES = json.loads((Path(__file__).parents[2] / "data/access_log_lines.json").read_text("utf-8"))


@pytest.mark.parametrize(("name", "line", "expected"), CASES)
def test_a_line_becomes_an_event_or_says_why_not(name: str, line: str, expected: Any) -> None:
    try:
        found: Any = json.loads(encode(parse_line(line.encode(), NOW_MS)))
    except RejectedError as exc:
        found = exc.code
    assert found == expected, name


def test_a_path_has_2048_bytes_at_most() -> None:
    line = '192.0.2.7 - - [17/May/2015:10:05:03 +0000] "GET /{} HTTP/1.1" 414 1'
    assert parse_line(line.format("a" * 2047).encode(), NOW_MS).url == "/" + "a" * 2047
    with pytest.raises(InvalidFieldError):
        parse_line(line.format("a" * 2048).encode(), NOW_MS)


def test_bytes_that_are_not_utf8_spoil_no_line() -> None:
    line = b'192.0.2.7 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 1 "-" "\xff\xfe"'
    assert parse_line(line, NOW_MS).url == "/a"


@pytest.mark.parametrize(
    "line", [b" [" * 16_000, b"a a " + b" [a" * 10_000, b'a - - [x] "' + b"\\" * 32_000]
)
def test_no_line_keeps_the_parser_busy(line: bytes) -> None:
    begun = time.process_time()
    with pytest.raises(MalformedLineError):
        parse_line(line, NOW_MS)
    assert time.process_time() - begun < 1


def test_a_line_has_one_uuid_and_no_other_line_has_it() -> None:
    line = b"192.0.2.7 ..."
    same = {line_uuid("a.log", 1, line), line_uuid("a.log", 1, line)}
    others = {line_uuid("b.log", 1, line), line_uuid("a.log", 2, line), line_uuid("a.log", 1, b"")}
    assert len(same) == 1
    assert len(same | others) == 4
    assert str(uuid.UUID(same.pop())) not in others
