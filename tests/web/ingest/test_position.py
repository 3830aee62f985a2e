"""?position=1: where the events of a request lie in Kafka, at every call that takes events."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from app.events.positions import parse
from app.names import Names
from tests.conftest import MakeSettings
from tests.support.http import Answer, Http
from tests.support.kafka_client import KafkaClient
from tests.web.conftest import Serve

SEGMENT = {"type": "track", "event": "a", "userId": "u", "messageId": "m"}
UMAMI = {"type": "event", "payload": {"website": "w", "name": "a", "url": "/a"}}
CLOUD = {"id": "1", "source": "/s", "specversion": "1.0", "type": "a"}
CLOUD_HEADERS = {"Content_Type": "application/cloudevents+json"}
BINARY = {"ce_id": "1", "ce_source": "/s", "ce_specversion": "1.0", "ce_type": "a"}
DOORS: tuple[tuple[str, str, object, dict[str, str]], ...] = (
    ("PUT", "/event_generate/", {"type": "a"}, {}),
    ("PUT", "/event_generate", {"type": "a"}, {}),
    ("POST", "/track", {"event_action": "a"}, {"X_Token": "secret_token"}),
    ("POST", "/", {"Type": "AdClick", "Url": "a/b"}, {}),
    ("POST", "/events", {"type": "a"}, {}),
    ("POST", "/events", CLOUD, CLOUD_HEADERS),
    ("POST", "/events", {"n": 1}, BINARY),
    ("POST", "/v1/track", SEGMENT, {}),
    ("POST", "/v1/t", SEGMENT, {}),
    ("POST", "/v1/batch", {"batch": [SEGMENT]}, {}),
    ("POST", "/api/event", {"name": "a", "url": "/a", "domain": "d"}, {}),
    ("POST", "/api/send", UMAMI, {}),
    ("POST", "/api/batch", [UMAMI], {}),
    ("GET", "/pixel.gif?type=a&url=/a", None, {}),
)
PARTITIONS = 64


async def call(http: Http, door: tuple[str, str, object, dict[str, str]], asked: str) -> Answer:
    method, path, event, headers = door
    path += f"{'&' if '?' in path else '?'}{asked}" if asked else ""
    body = None if event is None else json.dumps(event).encode()
    return await http.call(method, path, body, **headers)


async def ends(kafka: KafkaClient, topic: str) -> dict[int, int]:
    """Return {partition: offset behind the last record} of those that have any."""
    return {r.partition: r.offset + 1 for r in await kafka.read(topic)}


@pytest.mark.parametrize("door", DOORS, ids=lambda door: f"{door[0]} {door[1]}")
async def test_each_call_names_the_offset_behind_its_event(
    http: Http, kafka: KafkaClient, topics: Names, door: tuple[str, str, object, dict[str, str]]
) -> None:
    before = await ends(kafka, topics.events)
    for asked in ("position=1", "x=%FF&position=1&x=2"):
        if "?" in door[1] and "x" in asked:
            continue  # there a query string is the event, and must be understood
        got = await call(http, door, asked)
        assert got.status in {200, 202}, got
        after = await ends(kafka, topics.events)
        assert parse(got.headers["X-Event-Position"], PARTITIONS) == dict(
            after.items() - before.items()
        )
        before = after


@pytest.mark.parametrize("door", DOORS, ids=lambda door: f"{door[0]} {door[1]}")
async def test_who_does_not_ask_gets_the_answer_as_ever(
    http: Http, door: tuple[str, str, object, dict[str, str]]
) -> None:
    for asked in ("", "position=0", "position="):
        got = await call(http, door, asked)
        assert got.status in {200, 202}
        assert "X-Event-Position" not in got.headers
        assert b"position" not in got.body


async def test_many_events_have_a_position_for_each_of_their_partitions(
    http: Http, kafka: KafkaClient, topics: Names
) -> None:
    events = [{"type": "a", "user_id": f"u{n}"} for n in range(2500)]  # sent in several turns
    events[7] = {"url": "/no-type"}
    got = await http.post("/events?position=1", json.dumps(events).encode())
    assert (got.json["accepted"], got.json["rejected"]) == (2499, 1)
    assert list(got.json) == ["accepted", "rejected", "errors", "position"]
    assert got.json["position"] == got.headers["X-Event-Position"]
    assert parse(got.json["position"], PARTITIONS) == await ends(kafka, topics.events)


async def test_what_is_stored_nowhere_has_no_position(http: Http) -> None:
    got = await http.post("/events?position=1", b'[{"url":"/no-type"}]')
    assert (got.status, got.json["position"]) == (200, None)
    assert "X-Event-Position" not in got.headers
    got = await http.call("PUT", "/event_generate/?position=1", b"{}")
    assert (got.status, "X-Event-Position" in got.headers) == (400, False)


async def test_an_event_that_is_sent_again_lies_where_it_was_stored_again(
    http: Http, kafka: KafkaClient, topics: Names
) -> None:
    event = json.dumps({"type": "a", "user_id": "u"}).encode()
    path = "/event_generate/?position=1"
    got = [await http.call("PUT", path, event, Idempotency_Key="k") for _ in range(2)]
    records = await kafka.read(topics.events)
    shown = [answer.headers["X-Event-Position"] for answer in got]
    assert shown == [f"{record.partition}:{record.offset + 1}" for record in records]


async def test_a_page_of_a_listed_origin_may_read_it(
    serve_ready: Serve, make_settings: MakeSettings
) -> None:
    http = await serve_ready(await make_settings(origins="https://shop.example"))
    for path in ("/event_generate/", "/event_generate/?position=1"):
        got = await http.call("PUT", path, b'{"type":"a"}', Origin="https://shop.example")
        assert got.headers["Access-Control-Allow-Origin"] == "https://shop.example"
        exposed = got.headers["Access-Control-Expose-Headers"].lower()
        assert "x-event-position" in exposed
        assert ("X-Event-Position" in got.headers) == ("position" in path)


async def test_position_is_no_field_of_a_pixels_event(
    http: Http, kafka: KafkaClient, topics: Names
) -> None:
    await http.get(f"/pixel.gif?type=a&url={quote('/a')}&position=1")
    (value,) = await kafka.values(topics.events)
    assert "position" not in json.loads(value)
