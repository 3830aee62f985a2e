"""From an event to its record: key, uuid, time of receipt, size."""

from __future__ import annotations

import json
from typing import Any
from uuid import RFC_4122, UUID

import pytest

from app.errors import TooLargeError
from app.events.decoding import decode
from app.events.event import EVENT_MAX_BYTES, Event, at_ms
from app.events.packing import pack
from tests.support.random_events import NOW_MS
from tests.support.sized import event_of


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"user_id": "u", "session_id": "s", "ip": "i", "uuid": "x"}, "u"),
        ({"user_id": "", "session_id": "s", "ip": "i", "uuid": "x"}, "s"),
        ({"ip": "i", "message_id": "m", "uuid": "x"}, "i"),
        ({"message_id": "m", "uuid": "x"}, "m"),
        ({"message_id": "m"}, "m"),
        ({"uuid": "é"}, "é"),
    ],
)
def test_the_key_is_user_session_ip_message_or_uuid_whichever_is_there_first(
    fields: dict[str, Any], key: str
) -> None:
    assert pack(Event(type="A", **fields), NOW_MS)[0] == key.encode()


def test_a_missing_uuid_is_made_and_is_the_key_of_last_resort() -> None:
    made = set()
    for _ in range(1000):
        key, value, _ = pack(Event(type="A"), NOW_MS)
        assert json.loads(value)["uuid"] == key.decode()
        parsed = UUID(key.decode())
        assert (parsed.version, parsed.variant) == (4, RFC_4122)
        made.add(key)
    assert len(made) == 1000


def test_the_record_of_an_event_without_the_newer_fields_is_as_it_always_was() -> None:
    sent = (
        b'{"properties":{"a":[1]},"value":1,"category":"c","product_id":"p","app_name":"n",'
        b'"ad_id":"a","uuid":"x","ip":"i","session_id":"s","user_id":"u",'
        b'"timestamp":"2024-03-15T14:30:00Z","url":"/a","type":"A"}'
    )
    kept = (
        b'{"type":"A","url":"/a","timestamp":"2024-03-15T14:30:00Z","user_id":"u",'
        b'"session_id":"s","ip":"i","uuid":"x","received_at":"2026-09-21T14:13:20Z",'
        b'"ad_id":"a","app_name":"n","product_id":"p","category":"c","value":1.0,'
        b'"properties":{"a":[1]}}'
    )
    assert pack(decode(sent, NOW_MS), NOW_MS) == (b"u", kept, NOW_MS)


def test_received_at_is_the_collectors_whatever_the_sender_says() -> None:
    event = decode(b'{"type":"A","received_at":"2024-03-15T14:30:00Z"}', NOW_MS)
    assert json.loads(pack(event, NOW_MS)[1])["received_at"] == "2026-09-21T14:13:20Z"


def test_a_time_that_the_sender_did_not_give_is_left_to_the_record() -> None:
    _, value, timestamp_ms = pack(decode(b'{"type":"A"}', NOW_MS), NOW_MS)
    assert "timestamp" not in json.loads(value)
    assert timestamp_ms == NOW_MS
    assert decode(value, timestamp_ms).timestamp == at_ms(NOW_MS)


def test_an_event_that_grows_too_large_is_not_acknowledged() -> None:
    numbers = ",".join(["1e9"] * 8000)  # 1000000000.0 in canonical form
    event = decode(b'{"type":"A","properties":{"n":[%s]}}' % numbers.encode(), NOW_MS)
    with pytest.raises(TooLargeError):
        pack(event, NOW_MS)


@pytest.mark.parametrize("uuid", ["", "mine"])
def test_what_the_collector_adds_does_not_make_an_event_too_large(uuid: str) -> None:
    for size in (EVENT_MAX_BYTES - 1, EVENT_MAX_BYTES):
        sent = event_of(size, uuid=uuid) if uuid else event_of(size)
        key, value, _ = pack(decode(sent, NOW_MS), NOW_MS)
        assert decode(value, NOW_MS).uuid == (uuid or None)
        assert key.decode() == uuid if uuid else UUID(key.decode())
    with pytest.raises(TooLargeError, match="the event has 32769 bytes"):
        decode(event_of(EVENT_MAX_BYTES + 1), NOW_MS)
    with pytest.raises(TooLargeError, match="in canonical form has 32769 bytes"):
        pack(decode(event_of(EVENT_MAX_BYTES - 1, value=1), NOW_MS), NOW_MS)
