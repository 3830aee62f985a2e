"""Whatever goes wrong is answered with JSON, a code and a message."""

from __future__ import annotations

import gzip
import json

import pytest

from app.names import Names
from app.settings import Settings
from tests.conftest import MakeSettings
from tests.support.http import Answer, Http
from tests.support.kafka_client import KafkaClient
from tests.web.conftest import Serve


def told(answer: Answer) -> tuple[int, str]:
    """Return status and code of an error, having looked at its form."""
    assert answer.headers["Content-Type"] == "application/json"
    assert set(answer.json) == {"code", "message"}
    assert all(isinstance(value, str) for value in answer.json.values())
    return answer.status, answer.json["code"]


@pytest.mark.parametrize(
    "path", ["/nothing", "/events/0:1/more", "/table", "/router", "/%00", "/%C3%A9"]
)
async def test_an_unknown_path_is_not_found(http: Http, path: str) -> None:
    assert told(await http.get(path)) == (404, "not_found")


@pytest.mark.parametrize(
    ("call", "path", "allowed"),
    [
        ("PUT", "/", "GET,HEAD,POST"),
        ("POST", "/event_generate/", "PUT"),
        ("DELETE", "/events", "POST"),
        ("GET", "/track/", "POST"),
        ("PUT", "/health", "GET,HEAD"),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(
    http: Http, call: str, path: str, allowed: str
) -> None:
    answer = await http.call(call, path)
    assert told(answer) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == allowed


async def test_a_body_over_the_limit_is_too_large_packed_or_not(
    serve: Serve, make_settings: MakeSettings
) -> None:
    http = await serve(await make_settings(body_max_bytes=65_536))
    body = b" " * 65_537
    for path in ("/events", "/"):
        assert told(await http.post(path, body)) == (413, "body_too_large")
        packed = await http.post(path, gzip.compress(body), Content_Encoding="gzip")
        assert told(packed) == (413, "body_too_large")


async def test_a_body_that_cannot_be_unpacked_is_a_bad_request(http: Http) -> None:
    answer = await http.post("/events", b"not gzip", Content_Encoding="gzip")
    assert told(answer) == (400, "bad_request")


@pytest.mark.parametrize(
    "request_line",
    [
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/9.x\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_told_so(http: Http, request_line: bytes) -> None:
    head, _, body = (await http.raw(request_line)).partition(b"\r\n\r\n")
    assert b" 400 " in head.splitlines()[0]
    assert b"application/json" in head
    assert json.loads(body)["code"] == "bad_request"


async def test_kafka_away_is_503_and_says_when_to_come_back(
    serve: Serve, make_settings: MakeSettings
) -> None:
    http = await serve(await make_settings(kafka="127.0.0.1:1"))
    event = b'{"type":"A"}'
    for call, path in (
        ("PUT", "/event_generate/"),
        ("POST", "/"),
        ("POST", "/track"),
        ("POST", "/events"),
        ("GET", "/ready"),
    ):
        answer = await http.call(call, path, event, X_Token="secret_token")
        assert told(answer) == (503, "kafka_unavailable")
        assert int(answer.headers["Retry-After"]) >= 1
    assert (await http.get("/health")).status == 200


async def test_without_a_token_nobody_gets_in(
    serve: Serve, make_settings: MakeSettings, kafka: KafkaClient
) -> None:
    settings: Settings = await make_settings(token="")
    http = await serve(settings)
    for headers in ({}, {"X_Token": ""}):
        assert (await http.post("/track", b'{"type":"A"}', **headers)).status == 400
    assert kafka


async def test_a_collector_serves_what_it_should_and_nothing_else(
    http: Http, topics: Names
) -> None:
    assert (await http.get("/ready")).body == b'{"status":"ready"}'
    assert (await http.get("/health/")).body == b'{"status":"alive"}'
    metrics = (await http.get("/metrics")).body.decode()
    for name in ("events_received_total", "events_rejected_total", "acknowledge_seconds_bucket"):
        assert f"event_counter_{name}" in metrics
    assert topics


RAW = b"\xff\xfe"


@pytest.mark.parametrize(
    ("request_line", "header", "status"),
    [
        (b"GET /counters", b"Origin: http://" + RAW, 403),
        (b"GET /counters", b"Host: " + RAW, 403),
        (b"POST /events", b"Origin: http://" + RAW, 403),
        (b"POST /events", b"Origin: https://shop.example\r\nContent-Encoding: " + RAW, 415),
        (b"POST /events", b"Expect: " + RAW, 417),
        (b"POST /events", b"Content-Type: application/cloudevents" + RAW, 400),
        (b"POST /api/send", b"Content-Encoding: " + RAW, 415),
        (b"OPTIONS /events", b"Access-Control-Request-Method: POST\r\nOrigin: " + RAW, 403),
        (b"GET /v1/projects/k/settings", b"Host: " + RAW, 400),
        (b"GET /v1/projects/" + RAW + b"/settings", b"X: y", 400),
        (b"GET /counts/clicks?key=" + RAW, b"X: y", 400),
    ],
)
async def test_bytes_that_are_no_text_are_no_fault_of_ours(
    serve: Serve,
    make_settings: MakeSettings,
    caplog: pytest.LogCaptureFixture,
    request_line: bytes,
    header: bytes,
    status: int,
) -> None:
    http = await serve(await make_settings(kafka="127.0.0.1:1", origins="https://shop.example"))
    host = b"" if b"Host: " in header else b"Host: localhost\r\n"
    end = b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    answer = await http.raw(request_line + b" HTTP/1.1\r\n" + host + header + end)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b" ")[1] == b"%d" % status, answer
    assert set(json.loads(body)) >= {"code", "message"}
    assert [record for record in caplog.records if record.exc_info] == []
