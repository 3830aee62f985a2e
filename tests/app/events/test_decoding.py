"""What is an event, what is not, and which code says why."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.errors import (
    REJECT_CODES,
    InvalidFieldError,
    InvalidTimestampError,
    MalformedJsonError,
    RejectedError,
    TimestampInFutureError,
    TooLargeError,
)
from app.events.decoding import decode
from app.events.event import Event, at_ms, encode
from app.events.packing import pack
from app.events.shapes import DEPTH_MAX, parse
from tests.support.random_events import NOW_MS, random_body

DATA = Path(__file__).parents[2] / "data"
RECORDED = "2026-09-21T14:13:20Z"  # NOW_MS


def table(name: str) -> list[Any]:
    rows: list[Any] = json.loads((DATA / name).read_text("utf-8"))
    return rows


def shown(event: Event) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(encode(event))
    return fields


def verdict(read: Any, body: bytes) -> Any:
    try:
        return shown(read(body, NOW_MS))
    except RejectedError as exc:
        return exc.code


def click(**fields: object) -> bytes:
    return json.dumps({"type": "CLICK", **fields}, ensure_ascii=False).encode()


@pytest.mark.parametrize(("name", "body", "event"), table("accepted_events.json"))
def test_an_event_of_any_shape_becomes_canonical(
    name: str, body: str, event: dict[str, Any]
) -> None:
    expected = event | {"timestamp": event["timestamp"].replace("record", RECORDED)}
    assert shown(decode(body.encode(), NOW_MS)) == expected, name


@pytest.mark.parametrize(("text", "moment"), table("event_times.json"))
@pytest.mark.parametrize("field", ["timestamp", "date"])
def test_a_time_may_be_written_in_many_ways(text: str, moment: str, field: str) -> None:
    event = decode(b'{"type":"A","%s":%s}' % (field.encode(), text.encode()), NOW_MS)
    assert shown(event)["timestamp"] == moment
    assert event.timestamp is not None
    assert event.timestamp.tzinfo is UTC


@pytest.mark.parametrize(("name", "body", "code"), table("rejected_events.json"))
def test_what_is_no_event_is_rejected_with_a_code(name: str, body: str, code: str) -> None:
    assert verdict(decode, body.encode()) == code, name


def test_bytes_that_are_not_utf8_are_malformed_even_where_nobody_looks() -> None:
    for body in (b'{"type":"\xff"}', b'{"type":"A","other":"\xed\xa0\x80"}'):
        assert verdict(decode, body) == "malformed_json"


def test_every_code_is_among_the_cases() -> None:
    codes = {code for _, _, code in table("rejected_events.json")} | {TooLargeError.code}
    assert codes == set(REJECT_CODES)


def test_an_event_may_have_32_kilobytes_and_no_byte_more() -> None:
    body = click(properties={"a": ""})
    full = body.replace(b'""', b'"%s"' % (b"x" * (32_768 - len(body))))
    assert len(full) == 32_768
    assert decode(full, NOW_MS).type == "CLICK"
    with pytest.raises(TooLargeError):
        decode(full + b" ", NOW_MS)


@pytest.mark.parametrize(("field", "limit"), [("url", 2048), ("type", 255), ("message_id", 255)])
@pytest.mark.parametrize("character", ["u", "é", "日", "😀"])
def test_lengths_count_in_bytes(field: str, limit: int, character: str) -> None:
    fits = character * (limit // len(character.encode()))
    assert getattr(decode(click(**{field: fits}), NOW_MS), field) == fits
    with pytest.raises(InvalidFieldError, match=f"{field} is longer than {limit} bytes"):
        decode(click(**{field: fits + character}), NOW_MS)


@pytest.mark.parametrize("field", ["referrer", "user_agent"])
@pytest.mark.parametrize("character", ["u", "é", "日", "😀"])
def test_what_a_browser_says_is_cut_to_2048_bytes(field: str, character: str) -> None:
    fits = character * (2048 // len(character.encode()))
    for sent in (fits, fits + character, "x" + fits, fits * 3):
        event = decode(click(**{field: sent}), NOW_MS)
        assert getattr(event, field) == sent.encode()[:2048].decode("utf-8", "ignore")
        assert verdict(decode, encode(event)) == shown(event)


def test_more_than_a_day_ahead_of_the_record_is_the_future() -> None:
    day = NOW_MS + 86_400_000
    for sent in (day, at_ms(day).isoformat()):
        assert decode(click(timestamp=sent), NOW_MS).timestamp == at_ms(day)
    later = at_ms(day) + timedelta(microseconds=1)
    for sent in (day + 1, later.isoformat()):
        with pytest.raises(TimestampInFutureError):
            decode(click(timestamp=sent), NOW_MS)


@pytest.mark.parametrize("record_ms", [-1, 253_402_300_800_000, 2**62])
def test_a_record_without_a_time_of_this_calendar_is_rejected(record_ms: int) -> None:
    with pytest.raises(InvalidTimestampError):
        decode(click(), record_ms)


@pytest.mark.parametrize("field", ["properties", "other"])
@pytest.mark.parametrize("opened", ['{"a":', "["])
def test_how_deep_an_event_may_be_depends_on_nothing_else(field: str, opened: str) -> None:
    closed = "}" if opened.startswith("{") else "]"

    def nested(levels: int) -> bytes:
        inner = levels - 2  # the event, and the object under the field
        return f'{{"type":"A","{field}":{{"b":{opened * inner}1{closed * inner}}}}}'.encode()

    def deep_inside(levels: int, body: bytes) -> Event:
        return deep_inside(levels - 1, body) if levels else decode(body, NOW_MS)

    for frames in (0, 300):
        assert deep_inside(frames, nested(DEPTH_MAX)).type == "A"
        for levels in (DEPTH_MAX + 1, 990, 3000):
            with pytest.raises(InvalidFieldError, match="deeper"):
                deep_inside(frames, nested(levels))


LONE = r"an escape from \ud800 to \udfff lacks its other half"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (rb'{"type":"lone","url":"\ud800"}', LONE),
        (rb'{"type":"lone","x":"\udbffabc"}', LONE),
        (rb'{"\ud800":1}', LONE),
        (rb'{"type":"cut","url":"\ud800', "Input data was truncated"),
        (rb'{"type":"\u0041', "Input data was truncated"),
        (b'{"type":"cut"', "Input data was truncated"),
        (b"", "there is nothing"),
        (b" \r\n", "there is nothing"),
        (b'{"type":"\xff"}', "byte 9 is not UTF-8"),
        (b'{"type":"a","x":"\xc3"}', "byte 17 is not UTF-8"),
        (b'{"type":"a","value":1e400,"\xff":1}', "byte 27 is not UTF-8"),
        (b'{"type":"a"}}', "JSON is malformed: trailing characters (byte 13)"),
    ],
)
def test_what_is_said_of_bytes_that_are_no_json_is_true(body: bytes, says: str) -> None:
    with pytest.raises(MalformedJsonError) as caught:
        decode(body, NOW_MS)
    assert str(caught.value) == f"not JSON: {says}"


@pytest.mark.parametrize("body", [b"[" * 32_000, b"{" * 999, b'{"type":"A","x":' + b"[" * 5000])
def test_brackets_that_never_close_are_deep_too(body: bytes) -> None:
    with pytest.raises(InvalidFieldError, match="deeper"):
        decode(body, NOW_MS)


@pytest.mark.parametrize("inside", [b"[],", b'"[[[\\"",', b"[{}],", b"]"])
def test_many_brackets_side_by_side_are_not_deep(inside: bytes) -> None:
    body = b'{"type":"A","x":[' + inside * (30_000 // len(inside)) + b"1]}"
    try:
        assert decode(body, NOW_MS).type == "A"
    except MalformedJsonError:
        assert inside == b"]"


def test_brackets_inside_text_are_not_depth() -> None:
    event = decode(click(url="[{" * 500, user_id='"[\\'), NOW_MS)
    assert event.url == "[{" * 500


def test_many_brackets_side_by_side_are_not_depth() -> None:
    properties: dict[str, Any] = {"a": [[] for _ in range(500)]}
    assert decode(click(properties=properties), NOW_MS).properties == properties


def test_the_fast_way_and_the_slow_way_agree_on_everything() -> None:
    rng = random.Random(20_261_123)
    for _ in range(20_000):
        body = random_body(rng)
        assert verdict(decode, body) == verdict(parse, body), body


def test_what_the_collector_sends_reads_as_what_it_received() -> None:
    rng = random.Random(7)
    accepted = 0
    for _ in range(20_000):
        body = random_body(rng)
        received = verdict(decode, body)
        if isinstance(received, str):
            continue
        _, value, timestamp_ms = pack(decode(body, NOW_MS), NOW_MS)
        read = shown(decode(value, timestamp_ms))
        assert read.pop("received_at") == RECORDED
        made = read.pop("uuid")
        assert made == (received.get("uuid") or made)
        assert read == {k: v for k, v in received.items() if k not in {"uuid", "received_at"}}
        accepted += 1
    assert accepted > 4_000


def test_a_moment_of_record_ms_is_exact() -> None:
    assert at_ms(NOW_MS) == datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)


def test_a_record_from_beyond_the_tables_last_year_is_rejected_whatever_its_event_says() -> None:
    year_2286 = 10_000_000_000_000
    for value in (b'{"type":"A"}', b'{"type":"A","timestamp":"2200-01-01T00:00:00Z"}'):
        with pytest.raises(InvalidTimestampError):
            decode(value, year_2286)
