"""What an event of another client means, and what is wrong with one that means nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec
import pytest
from multidict import CIMultiDict

from app.errors import CounterError, InvalidFieldError, MalformedJsonError
from app.events.event import to_ms
from web.ingest import cloudevents, plausible, segment, umami
from web.ingest.dialects import ToFields, json_of

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
NOW_MS = to_ms(NOW)
IN_SEGMENT = segment.dialect(NOW_MS)
DIALECTS: dict[str, ToFields] = {
    "segment": IN_SEGMENT,
    "plausible": partial(plausible.fields_of, "Mine/1"),
    "umami": partial(umami.fields_of, "Mine/1", None),
    "cloudevents": cloudevents.structured,
}
SENT = (NOW + timedelta(hours=2)).isoformat()  # by a clock that is two hours ahead
MADE = (NOW + timedelta(hours=1, minutes=50)).isoformat()
RIGHT = (NOW - timedelta(minutes=10)).isoformat()


def fields(dialect: str, event: object) -> dict[str, Any]:
    return DIALECTS[dialect](msgspec.json.encode(event))


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"originalTimestamp": MADE, "sentAt": SENT}, RIGHT),
        ({"timestamp": MADE, "sentAt": SENT}, RIGHT),
        ({"timestamp": RIGHT, "sentAt": NOW.isoformat()}, RIGHT),
        ({"timestamp": RIGHT, "sentAt": (NOW - timedelta(seconds=59)).isoformat()}, RIGHT),
        ({"originalTimestamp": RIGHT}, RIGHT),
        ({"timestamp": RIGHT, "sentAt": "nonsense"}, RIGHT),
        ({"sentAt": SENT}, None),
        ({"timestamp": None}, None),
    ],
)
def test_a_wrong_clock_of_segments_is_corrected(event: dict[str, Any], expected: str) -> None:
    found = fields("segment", {"type": "track", "event": "a", **event}).get("timestamp")
    assert found == expected


def test_what_surrounds_a_batch_of_segments_is_for_each_event() -> None:
    context = {"ip": "1.2.3.4", "userAgent": "Mine/1", "page": {"url": "/a"}}
    mapping = segment.dialect(NOW_MS, "", SENT, context)
    event = {"type": "track", "event": "a", "timestamp": MADE, "context": {"ip": "5.6.7.8"}}
    found = mapping(msgspec.json.encode(event))
    assert found == {
        "type": "a",
        "ip": "5.6.7.8",
        "user_agent": "Mine/1",
        "url": "/a",
        "timestamp": RIGHT,
    }


def test_of_what_surrounds_a_batch_each_event_carries_only_what_it_reads() -> None:
    page = {"url": {"a": [1]}, "referrer": "/r", "title": "t"}
    context = {"page": page, "ip": [[], []], "userAgent": 7, "library": {"name": "x"}}
    assert segment.shared_of(context) == {
        "page": {"url": {}, "referrer": "/r"},
        "ip": [],
        "userAgent": 7,
    }
    assert segment.shared_of({"page": [1], "more": 1}) == segment.shared_of([1]) == {}


@pytest.mark.parametrize(
    ("dialect", "event", "expected"),
    [
        (
            "segment",
            {
                "type": "track",
                "event": "a",
                "userId": None,
                "anonymousId": "anon",
                "context": {"sessionId": 17},
                "integrations": {},
                "_metadata": {},
                "messageId": "m",
            },
            {"type": "a", "user_id": "anon", "session_id": 17, "message_id": "m"},
        ),
        (
            "segment",
            {"type": "page", "name": "Home", "context": {"page": {"url": "/c", "referrer": "/r"}}},
            {
                "type": "page_view",
                "url": "/c",
                "referrer": "/r",
                "properties": {"name": "Home"},
            },
        ),
        ("segment", {"type": "screen", "name": "Cart"}, {"type": "page_view", "url": "Cart"}),
        (
            "plausible",
            {"n": "pageview", "u": "/a", "d": "site", "r": None, "p": '{"a":1}'},
            {
                "type": "page_view",
                "url": "/a",
                "app_name": "site",
                "user_agent": "Mine/1",
                "properties": {"a": 1},
            },
        ),
        (
            "plausible",
            {"name": "b", "url": "/a", "domain": "site", "revenue": {"amount": 5}},
            {"type": "b", "url": "/a", "value": 5, "properties": {"revenue": {"amount": 5}}},
        ),
        (
            "umami",
            {"type": "event", "payload": {"website": "w", "url": "https://a/b", "id": "u1"}},
            {"type": "page_view", "url": "https://a/b", "user_id": "u1", "app_name": "w"},
        ),
        (
            "umami",
            {
                "type": "event",
                "payload": {"hostname": "a", "url": "/b", "timestamp": 1_700_000_000},
            },
            {"type": "page_view", "url": "a/b", "timestamp": 1_700_000_000},
        ),
        (
            "cloudevents",
            {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": [1], "ext": 1},
            {"type": "t", "message_id": "/s 1"},
        ),
    ],
)
def test_an_event_is_mapped(dialect: str, event: dict[str, Any], expected: dict[str, Any]) -> None:
    found = fields(dialect, event)
    assert {name: found.get(name) for name in expected} == expected
    assert dialect == "plausible" or set(found) <= set(expected) | {"user_agent", "properties"}


@pytest.mark.parametrize(
    ("dialect", "event", "code"),
    [
        ("segment", {"type": "track"}, "missing_type"),
        ("segment", {"type": "track", "event": 5}, "invalid_field"),
        ("segment", {"type": "other"}, "invalid_field"),
        ("segment", {"event": "a"}, "invalid_field"),
        ("segment", {"type": "track", "event": "a", "properties": [1]}, "invalid_field"),
        ("segment", {"type": "track", "event": "a", "timestamp": "x"}, "invalid_timestamp"),
        ("segment", [], "not_an_object"),
        ("segment", {"type": "track", "event": "x" * 300_000}, "too_large"),
        ("plausible", {"name": "a", "props": "{"}, "invalid_field"),
        ("plausible", {"name": "a", "props": [1]}, "invalid_field"),
        ("plausible", {"name": "a", "revenue": {"amount": "much"}}, "invalid_field"),
        ("plausible", {"name": "a", "revenue": {"amount": "nan"}}, "invalid_field"),
        ("plausible", {"name": "a", "revenue": {"amount": "1e999"}}, "invalid_field"),
        ("umami", {"type": "event"}, "invalid_field"),
        ("umami", {"type": "other", "payload": {}}, "invalid_field"),
        ("umami", {"type": "event", "payload": {"data": [1]}}, "invalid_field"),
        ("cloudevents", {"specversion": "1.0", "id": "1", "source": "/"}, "invalid_field"),
        (
            "cloudevents",
            {"specversion": "1.0", "id": 1, "source": "/", "type": "a"},
            "invalid_field",
        ),
        (
            "cloudevents",
            {"specversion": "2", "id": "1", "source": "/", "type": "a"},
            "invalid_field",
        ),
    ],
)
def test_a_fault_is_named(dialect: str, event: object, code: str) -> None:
    with pytest.raises(CounterError) as raised:
        fields(dialect, event)
    assert raised.value.code == code


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (rb'{"type":"a","x":"\ud800"}', r"an escape from \ud800 to \udfff lacks its other half"),
        (b'{"type":"\xff"}', "byte 9 is not UTF-8"),
        (b'{"a":' * 20_000 + b"1" + b"}" * 20_000, "it is nested too deep"),
        (b"", "there is nothing"),
    ],
)
def test_what_is_said_of_bytes_that_are_no_json_is_true(body: bytes, says: str) -> None:
    for read, what in ((json_of, "not JSON"), (segment.envelope_of, "not a batch")):
        with pytest.raises(MalformedJsonError) as caught:
            read(body)
        assert str(caught.value).startswith(f"{what}: {says}")


def in_headers(**attributes: str) -> dict[str, Any]:
    """Return our fields of a CloudEvent in binary mode."""
    given = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"} | attributes
    mapping = cloudevents.dialect_of(
        CIMultiDict({f"ce-{name}": text for name, text in given.items()})
    )
    assert mapping is not None
    return mapping(b"{}")


@pytest.mark.parametrize(
    ("sent", "meant"),  # HTTP binding 1.0.2, 3.1.3.2
    [
        ("com.example.bought", "com.example.bought"),
        ('"com.example.bought"', "com.example.bought"),
        ('"a \\"b\\" \\\\ \\c"', 'a "b" \\ c'),
        ('"Euro%20%E2%82%AC %f0%9f%98%80"', "Euro € 😀"),
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ('"%22a%22"', '"a"'),
        ("%22a%22", '"a"'),
        ("%2522", "%22"),
        ('"%5C%22"', '\\"'),
        ('"a', '"a'),
        ('a"', 'a"'),
        ('"a" "b"', '"a" "b"'),
        ('"a\\"', '"a\\"'),
        ("100%", "100%"),
        ("%zz", "%zz"),
    ],
)
def test_a_header_of_a_cloudevent_is_unquoted_and_then_decoded_once(sent: str, meant: str) -> None:
    assert in_headers(type=sent, subject=sent)["type"] == meant
    assert in_headers(type=sent, subject=sent)["url"] == meant


def test_every_attribute_of_a_cloudevent_may_be_quoted() -> None:
    found = in_headers(specversion='"1.0"', id='"7"', source='"/s"', time='"2026-11-28T12:00:00Z"')
    assert (found["message_id"], found["timestamp"]) == ("/s 7", "2026-11-28T12:00:00Z")


@pytest.mark.parametrize("sent", ["caf%E9", '"caf%E9"', "%C0%A0", "%ED%A0%80"])
def test_a_header_of_a_cloudevent_that_is_not_utf8_is_rejected(sent: str) -> None:
    with pytest.raises(InvalidFieldError, match="ce-subject is not percent-encoded UTF-8"):
        in_headers(subject=sent)
    assert in_headers(unread=sent)["type"] == "t"


def test_a_long_name_of_a_cloudevent_is_still_one() -> None:
    names = {cloudevents.message_id("/" + "s" * 300, str(number)) for number in range(3)}
    assert len(names) == 3
    assert all(len(name) <= 255 for name in names)
    assert cloudevents.message_id("/a", "11") != cloudevents.message_id("/a1", "1")
