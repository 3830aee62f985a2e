"""The calls that take events, byte for byte."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from app.events.event import EVENT_MAX_BYTES
from app.names import Names
from tests.support.http import Http
from tests.support.kafka_client import KafkaClient
from tests.support.sized import event_of

COUNTER = (
    b'{"uuid":"c7a84fa3-bd42-4c6c-acbd-50506325ac1","url":"https://www.example.net",'
    b'"type":"CLICK","ip":"323.3253.34.999"}'
)
ADS = b'{"Type":"AdClick","Url":"google.com/kill","Meta":{"UserId":"fd123","AdId":"34"}}'
APP = (
    b'{"user_id":1,"app_name":"product_1","event_action":"scroll",'
    b'"event_category":"category_2","event_value":12}'
)
CLICKSTREAM = (
    b'{"date":"2020-03-25T19:05:49UTC","productId":"4pqurkxx3oku8yj",'
    b'"eventName":"productview","userId":"ur0kzmbj"}'
)
ANALYTICS = (
    b'{"timestamp":"2024-03-15T14:30:00Z","user_id":"usr_789","event_type":"page_view",'
    b'"page_url":"/products/electronics","session_id":"sess_456"}'
)
TEXT, JSON = "text/plain; charset=utf-8", "application/json"


def missing_type(index: int) -> str:
    message = "the event has no type. Name the event's type, for example CLICK."
    return f'{{"index":{index},"code":"missing_type","message":"{message}"}}'


async def stored(kafka: KafkaClient, topics: Names) -> list[dict[str, Any]]:
    return [json.loads(value) for value in await kafka.values(topics.events)]


@pytest.mark.parametrize(
    "case",
    [
        ("PUT", "/event_generate", COUNTER, b"OK", TEXT, "CLICK"),
        ("POST", "/track", APP, b'{"detail":"Event created"}', JSON, "scroll"),
        ("POST", "", ADS, b"endedSuccessfully", TEXT, "AdClick"),
    ],
)
async def test_one_event_is_answered_once_it_is_in_kafka(
    http: Http, kafka: KafkaClient, topics: Names, case: tuple[str, str, bytes, bytes, str, str]
) -> None:
    call, path, sent, answer, kind, event_type = case
    for spelling in (path + "/", path or "/"):
        got = await http.call(call, spelling, sent, X_Token="secret_token")
        assert (got.status, got.body, got.headers["Content-Type"]) == (200, answer, kind)
    assert [event["type"] for event in await stored(kafka, topics)] == [event_type] * 2


async def test_every_shape_enters_at_every_door(
    http: Http, kafka: KafkaClient, topics: Names
) -> None:
    shapes = (COUNTER, CLICKSTREAM, ADS, ANALYTICS, APP)
    doors = (("PUT", "/event_generate/"), ("POST", "/track"), ("POST", "/"), ("POST", "/events"))
    for call, path in doors:
        for shape in shapes:
            got = await http.call(call, path, shape, X_Token="secret_token")
            assert got.status == 200, (path, shape, got)
    types = [event["type"] for event in await stored(kafka, topics)]
    assert sorted(types) == sorted(["CLICK", "productview", "AdClick", "page_view", "scroll"] * 4)


@pytest.mark.parametrize("token", [None, "", "secret", "Secret_token", "secret_tokens", "ï"])
async def test_a_wrong_token_is_refused_whatever_is_sent(
    http: Http, kafka: KafkaClient, topics: Names, token: str | None
) -> None:
    headers = {} if token is None else {"X_Token": token}
    for body in (APP, b"nonsense"):
        got = await http.post("/track", body, **headers)
        assert (got.status, got.body) == (400, b'{"detail":"Invalid X-Token header"}')
    assert await kafka.values(topics.events) == []


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (COUNTER, '{"accepted":1,"rejected":0,"errors":[]}'),
        (b"[" + COUNTER + b"," + ADS + b"]", '{"accepted":2,"rejected":0,"errors":[]}'),
        (b"\n" + COUNTER + b"\r\n \n" + APP, '{"accepted":2,"rejected":0,"errors":[]}'),
        (b"[]", '{"accepted":0,"rejected":0,"errors":[]}'),
        (
            b'[{"type":"A"},{"url":"/a"},{"type":"B"}]',
            f'{{"accepted":2,"rejected":1,"errors":[{missing_type(1)}]}}',
        ),
        (
            b'{"url":"/a"}\n\n{"type":"B"}\n{"url":"/b"}',
            f'{{"accepted":1,"rejected":2,"errors":[{missing_type(0)},{missing_type(2)}]}}',
        ),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
async def test_many_events_are_judged_one_by_one(
    http: Http, kafka: KafkaClient, topics: Names, sent: bytes, answer: str, packed: bool
) -> None:
    headers = {"Content_Encoding": "gzip"} if packed else {}
    got = await http.post("/events", gzip.compress(sent) if packed else sent, **headers)
    assert (got.status, got.body.decode()) == (200, answer)
    assert got.headers["Content-Type"] == JSON
    assert len(await kafka.values(topics.events)) == json.loads(answer)["accepted"]


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (b'{"type":"a","url":"\\ud83d"}', "malformed_json"),
        (b'{"type":"a",}', "malformed_json"),
        (b'{"type":"a","value":01}', "malformed_json"),
        (b'{"type":"a","url":"\t"}', "malformed_json"),
        (b'{"type":"a","x":' + b"[" * 1100 + b"]" * 1100 + b"}", "invalid_field"),
        (b"", "malformed_json"),
    ],
)
async def test_one_bad_item_does_not_fail_its_neighbours(
    http: Http, kafka: KafkaClient, topics: Names, bad: bytes, code: str
) -> None:
    answer = (await http.post("/events", b'[{"type":"A"},' + bad + b',{"type":"B"}]')).json
    assert (answer["accepted"], answer["rejected"]) == (2, 1)
    assert [(error["index"], error["code"]) for error in answer["errors"]] == [(1, code)]
    assert sorted(event["type"] for event in await stored(kafka, topics)) == ["A", "B"]


async def test_each_code_is_told_at_each_door(http: Http) -> None:
    large = b'{"type":"A","url":"' + b"x" * 32_768 + b'"}'
    cases = (
        (b"nonsense", 400, "malformed_json"),
        (b"[1]", 400, "not_an_object"),
        (b"{}", 400, "missing_type"),
        (b'{"type":5}', 400, "invalid_field"),
        (b'{"type":"A","timestamp":"x"}', 400, "invalid_timestamp"),
        (b'{"type":"A","timestamp":"2999-01-01T00:00:00Z"}', 400, "timestamp_in_future"),
        (large, 413, "too_large"),
    )
    for body, status, code in cases:
        for call, path in (("PUT", "/event_generate/"), ("POST", "/"), ("POST", "/track")):
            got = await http.call(call, path, body, X_Token="secret_token")
            assert (got.status, got.json["code"]) == (status, code)
            assert isinstance(got.json["message"], str)
        if code != "malformed_json":
            answer = (await http.post("/events", b'[{"type":"B"},' + body + b"]")).json
            assert (answer["accepted"], answer["rejected"]) == (1, 1)
            assert answer["errors"][0]["code"] == code


@pytest.mark.parametrize("beside", [-1, 0, 1])
async def test_the_largest_event_is_taken_at_each_door(
    http: Http, kafka: KafkaClient, topics: Names, beside: int
) -> None:
    event, status = event_of(EVENT_MAX_BYTES + beside), 413 if beside > 0 else 200
    for call, path in (("PUT", "/event_generate/"), ("POST", "/"), ("POST", "/track")):
        got = await http.call(call, path, event, X_Token="secret_token")
        assert got.status == status, got.body
    small = b'{"type":"B"}'
    for body in (b"[%b,%b]", b"%b\n%b\n"):
        answer = (await http.post("/events", body % (event, small))).json
        assert answer["accepted"] == (1 if beside > 0 else 2), answer["errors"]
    kept = [v for v in await kafka.values(topics.events) if b'"type":"A"' in v]
    assert len(kept) == (0 if beside > 0 else 5)
    assert max(map(len, kept), default=0) <= EVENT_MAX_BYTES, "the workers take no longer one"


async def test_rejected_events_are_counted_by_code(http: Http) -> None:
    async def rejected() -> float:
        lines = (await http.get("/metrics")).body.decode().splitlines()
        name = 'event_counter_events_rejected_total{code="missing_type"} '
        return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))

    before = await rejected()
    await http.post("/", b"{}")
    await http.post("/events", b'[{},{"type":"A"},{}]')
    assert await rejected() == before + 3


@pytest.mark.parametrize("body", [b"", b"  ", b"[{}", b"nonsense", b"{"])
async def test_a_body_that_is_no_json_is_one_error(http: Http, body: bytes) -> None:
    got = await http.post("/events", body)
    assert (got.status, got.json["code"]) == (400, "malformed_json")


async def test_five_thousand_events_go_in_one_request(
    http: Http, kafka: KafkaClient, topics: Names
) -> None:
    sent = b"\n".join(b'{"type":"A","url":"/%d"}' % number for number in range(5000))
    got = await http.post("/events", gzip.compress(sent), Content_Encoding="gzip")
    assert got.json == {"accepted": 5000, "rejected": 0, "errors": []}
    assert {event["url"] for event in await stored(kafka, topics)} == {
        f"/{number}" for number in range(5000)
    }
