"""The package cloudevents, unmodified: structured, in batches, and in headers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from app.names import Names
from tests.clients.others import stored, stored_once
from tests.support.http import Http
from tests.support.kafka_client import KafkaClient

JSON = "application/json"
BINARY = {"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/"}
TAKEN = {"accepted": 1, "rejected": 0, "errors": []}


def made(**changes: Any) -> CloudEvent:
    attributes = {
        "id": "1",
        "source": "/bücher/shop",
        "type": "example.bought",
        "time": datetime(2024, 3, 15, 14, 30, tzinfo=UTC),
        "subject": "/products/ä b",
        **changes,
    }
    return CloudEvent(attributes, {"plan": "pro", "count": 3})


def headers(message: Any) -> dict[str, str]:
    return {name.replace("-", "_"): value for name, value in message.headers.items()}


async def test_both_modes_of_an_event_are_the_same_event(
    http: Http, kafka: KafkaClient, topics: Names
) -> None:
    for message in (to_structured_event(made()), to_binary_event(made())):
        got = await http.post("/events", message.body, **headers(message))
        assert (got.status, got.json) == (200, TAKEN)
    (event,), again = await stored_once(kafka, topics)
    assert again == 1
    assert event == {
        "type": "example.bought",
        "message_id": "/bücher/shop 1",
        "timestamp": "2024-03-15T14:30:00Z",
        "url": "/products/ä b",
        "properties": {"plan": "pro", "count": 3},
    }


async def test_one_bad_event_of_a_batch_loses_no_other(
    http: Http, kafka: KafkaClient, topics: Names
) -> None:
    good = [to_structured_event(made(id=str(number))).body for number in range(3)]
    bad = [b'{"specversion":"1.0","type":"a","source":"/"}', b"7", b'{"specversion":"0.3"}']
    body = b"[" + b",".join([*good[:2], *bad, good[2]]) + b"]"
    kind = "application/cloudevents-batch+json; charset=utf-8"
    got = await http.post("/events", body, Content_Type=kind)
    assert (got.status, got.json["accepted"], got.json["rejected"]) == (200, 3, 3)
    assert [(e["index"], e["code"]) for e in got.json["errors"]] == [
        (2, "invalid_field"),
        (3, "not_an_object"),
        (4, "invalid_field"),
    ]
    ids = {event["message_id"] for event in await stored(kafka, topics)}
    assert ids == {f"/bücher/shop {number}" for number in range(3)}


async def test_what_is_no_cloudevent_is_named(http: Http) -> None:
    structured = "application/cloudevents+json"
    cases = (
        (b"[]", {"Content_Type": structured}, 200, "not_an_object"),
        (b"{", {"Content_Type": structured}, 200, "malformed_json"),
        (b"[{}", {"Content_Type": "application/cloudevents-batch+json"}, 400, "malformed_json"),
        (b"{}", {"Content_Type": "application/cloudevents-batch+json"}, 200, "invalid_field"),
        (b"<a/>", {"Content_Type": "application/cloudevents+xml"}, 400, "malformed_json"),
        (b"{}", BINARY, 200, "invalid_field"),
        (b"{", {**BINARY, "ce_type": "a", "Content_Type": JSON}, 200, "malformed_json"),
    )
    for body, given, status, code in cases:
        got = await http.post("/events", body, **given)
        found = got.json if status != 200 else got.json["errors"][0]
        assert (got.status, found["code"]) == (status, code), (body, given, got)
