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


@pytest.mark.parametrize(
    ("logged", "code", "says"),
    [
        ("31/Nov/2026:10:00:01 +0000", "invalid_timestamp", "does not exist; right is e.g. 17/May"),
        ("29/Feb/2026:10:00:01 +0000", "invalid_timestamp", "does not exist; right is e.g. 17/May"),
        ("01/Dez/2026:10:00:01 +0000", "invalid_timestamp", "does not exist; right is e.g. 17/May"),
        ("01/Dec/2026:24:00:01 +0000", "invalid_timestamp", "does not exist; right is e.g. 17/May"),
        ("01/Dec/2026:10:00:01 +9900", "invalid_timestamp", "does not exist; right is e.g. 17/May"),
        ("01/Jan/0001:10:00:01 +2300", "invalid_timestamp", "does not exist; right is e.g. 17/May"),
        ("2026-12-01 10:00:01", "invalid_timestamp", "is not in the form of 17/May/2015:10:05:03"),
        ("31/Dec/1969:23:59:59 +0000", "invalid_timestamp", "is before 1970"),
        ("01/Jan/1970:00:59:59 +0100", "invalid_timestamp", "is before 1970"),
        ("29/Nov/2027:10:00:01 +0000", "timestamp_in_future", "is over a day in the future: check"),
    ],
)
def test_a_time_that_is_wrong_is_told_as_it_is_logged(logged: str, code: str, says: str) -> None:
    with pytest.raises(RejectedError) as caught:
        parse_line(f'192.0.2.7 - - [{logged}] "GET /a HTTP/1.1" 200 1'.encode(), NOW_MS)
    assert caught.value.code == code
    assert str(caught.value).startswith(f"the time {logged!r} {says}")


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
