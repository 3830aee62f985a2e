"""The calls of other clients over HTTP: paths, keys, answers to what is wrong."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from app import metrics
from app.names import Names
from tests.conftest import MakeSettings
from tests.support.http import Http
from tests.support.kafka_client import KafkaClient
from tests.web.conftest import Serve
from web.ingest import segment


async def stored(kafka: KafkaClient, namespace: str) -> list[dict[str, Any]]:
    return [json.loads(value) for value in await kafka.values(Names(namespace).events)]


async def test_segments_calls_are_served_at_all_their_paths(
    http: Http, kafka: KafkaClient, topics: Names
) -> None:
    kinds = ("track", "page", "screen", "identify", "group", "alias")
    paths = [(f"/v1/{kind}", kind) for kind in kinds] + [(f"/v1/{kind[0]}", kind) for kind in kinds]
    for path, kind in paths:
        body = json.dumps({"event": kind, "userId": "u", "messageId": path}).encode()
        for spelling in (path, f"{path}/"):
            got = await http.post(spelling, body, Content_Type="text/plain")
            assert (got.status, got.body) == (200, b'{"success":true}'), spelling
    batch = b'{"batch":[{"type":"track","event":"a"}]}'
    for path in ("/v1/batch", "/v1/batch/", "/v1/b", "/v1/b/"):
        got = await http.post(path, batch)
        assert (got.status, got.body) == (200, b'{"success":true}')
    got = await http.post("/v1/m", b'{"series":[]}')
    assert (got.status, got.body) == (200, b'{"success":true}')
    assert (await http.post("/v1/other", b"{}")).json["code"] == "not_found"
    assert len(await kafka.values(topics.events)) == 28


async def test_the_settings_of_segments_browser_client_lead_back_here(http: Http) -> None:
    got = await http.get("/v1/projects/the-key/settings")
    host = http.url.removeprefix("http://")
    found = got.json["integrations"]["Segment.io"]
    assert (found["apiKey"], found["apiHost"], found["protocol"]) == (
        "the-key",
        f"{host}/v1",
        "http",
    )


async def test_the_settings_lead_back_through_a_proxy_that_strips_its_path(
    serve: Serve, make_settings: MakeSettings
) -> None:
    http = await serve(await make_settings(kafka="127.0.0.1:1", base_path="/counter"))
    host = http.url.removeprefix("http://")
    for path in ("/counter/v1/projects/k/settings", "/v1/projects/k/settings"):
        found = (await http.get(path)).json["integrations"]["Segment.io"]
        assert found["apiHost"] == f"{host}/counter/v1", path


async def test_one_bad_event_of_a_batch_loses_no_other(
    http: Http, kafka: KafkaClient, topics: Names
) -> None:
    good = {"type": "track", "event": "good", "userId": "u"}
    batch = [good, 7, {"type": "track"}, good | {"event": "x" * 300}, good]
    got = await http.post("/v1/batch", json.dumps({"batch": batch}).encode())
    assert (got.status, got.json["success"], got.json["rejected"]) == (200, True, 3)
    found = [(error["index"], error["code"]) for error in got.json["errors"]]
    assert found == [(1, "not_an_object"), (2, "missing_type"), (3, "invalid_field")]
    site = {"type": "event", "payload": {"website": "w", "name": "good"}}
    got = await http.post("/api/batch", json.dumps([site, {"type": "event"}, 7, site]).encode())
    assert (got.status, got.json["size"], got.json["processed"]) == (200, 4, 2)
    assert got.json["errors"] == 2
    assert [detail["index"] for detail in got.json["details"]] == [1, 2]
    assert [event["type"] for event in await stored(kafka, topics.events[:-6])] == ["good"] * 4


async def test_a_body_that_is_none_gets_the_error_of_its_client(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in ("/v1/batch", "/v1/track", "/api/event", "/api/send", "/api/batch"):
        for body in (
            b"nonsense",
            b"",
            b"[" * 10_000,
            b'{"a":' * 10_000,
            b"\xff",
        ):
            got = await http.post(path, body)
            assert got.status == 400, (path, body[:10], got)
            assert {type(got.json["code"]), type(got.json["message"])} == {str}
    strange = b'{"type":{},"payload":{},"event":{},"name":{}}'
    for path in ("/v1/track", "/api/event", "/api/send"):
        assert (await http.post(path, strange)).json["code"] == "invalid_field"
    got = await http.post("/api/event", b'{"name":"a","props":[1]}')
    assert got.json["errors"]["event"] == [got.json["message"]]
    got = await http.post("/api/send", b'{"type":"other"}')
    assert got.json["error"]["message"] == got.json["message"]
    for body in (b'{"batch":{}}', b'{"batch":null}', b"{}"):
        assert (await http.post("/v1/batch", body)).json["code"] == "malformed_json"
    monkeypatch.setattr(segment, "BODY_MAX_BYTES", 100)
    large = b'{"batch":[' + b" " * 100 + b"]}"
    assert (await http.post("/v1/batch", large)).json["code"] == "body_too_large"


async def test_an_idempotency_key_names_an_event_that_has_no_name(
    http: Http, kafka: KafkaClient, topics: Names
) -> None:
    calls = {
        "/v1/track": b'{"event":"a"}',
        "/api/event": b'{"n":"a","u":"/","d":"s"}',
        "/api/send": b'{"type":"event","payload":{"url":"/"}}',
    }
    for path, body in calls.items():
        assert (await http.post(path, body, Idempotency_Key=path)).status in {200, 202}
    await http.post("/v1/track", b'{"event":"a","messageId":"own"}', Idempotency_Key="other")
    ids = {event["message_id"] for event in await stored(kafka, topics.events[:-6])}
    assert ids == {*calls, "own"}


async def test_headers_that_are_no_text_are_no_fault_of_ours(
    http: Http, kafka: KafkaClient, topics: Names
) -> None:
    bad = b"\xff\xfe" + b"x" * 3000
    host = http.url.removeprefix("http://").encode()
    calls = (
        (b"/api/event", b"User-Agent: " + bad, b'{"n":"a","u":"/","d":"s"}', b"202"),
        (b"/api/send", b"User-Agent: " + bad, b'{"type":"event","payload":{"url":"/"}}', b"200"),
        (
            b"/events",
            b"ce-specversion: 1.0\r\nce-id: \xff\r\nce-source: /\r\nce-type: a",
            b"{}",
            b"200",
        ),
    )
    for path, header, body, status in calls:
        length = str(len(body)).encode()
        head = (
            b"POST %b HTTP/1.1\r\nHost: %b\r\n%b\r\nConnection: close\r\nContent-Length: %b\r\n\r\n"
        )
        answer = await http.raw(head % (path, host, header, length) + body)
        assert answer.startswith(b"HTTP/1.1 " + status), answer
    assert b'"code":"invalid_field"' in answer
    agents = [event["user_agent"] for event in await stored(kafka, topics.events[:-6])]
    assert agents == ["x" * 2048] * 2


async def test_the_cache_of_an_umami_answer_names_the_session_of_the_next(
    http: Http, kafka: KafkaClient, topics: Names
) -> None:
    body = b'{"type":"event","payload":{"website":"w","url":"/a"}}'
    cache = (await http.post("/api/send", body)).json["cache"]
    got = await http.post("/api/send", body, x_umami_cache=cache)
    assert (got.json["cache"], got.json["sessionId"]) == (cache, cache)
    await http.post("/api/send", body, x_umami_cache="nonsense")
    events = await stored(kafka, topics.events[:-6])
    sessions = [event.get("session_id") for event in events]
    assert sorted(sessions, key=str) == sorted([None, None, cache], key=str)


async def test_a_write_key_lets_in_by_each_of_its_places(
    serve_ready: Serve, make_settings: MakeSettings, kafka: KafkaClient
) -> None:
    settings = await make_settings(write_keys="key-one=shop, key-two=blog,bare")
    http = await serve_ready(settings)
    basic = {"Authorization": f"Basic {b64encode(b'key-one:').decode()}"}
    no_colon = {"Authorization": f"Basic {b64encode(b'key-one').decode()}"}
    bearer = {"Authorization": "Bearer key-one"}
    event, named = b'{"type":"a"}', b'{"type":"a","app_name":"mine"}'
    calls: list[tuple[str, str, bytes, dict[str, str], str | None]] = [
        ("POST", "/events", event, basic, "shop"),
        ("POST", "/events", named, bearer, "mine"),
        ("POST", "/events?write_key=key-two", event, {}, "blog"),
        ("POST", "/events?write_key=bare", event, {}, None),
        ("PUT", "/event_generate/", event, no_colon, "shop"),
        ("POST", "/", event, bearer, "shop"),
        ("POST", "/v1/track", b'{"event":"a","writeKey":"key-two"}', {}, "blog"),
        (
            "POST",
            "/v1/track",
            b'{"event":"a","writeKey":"key-two"}',
            {"Authorization": "x"},
            "blog",
        ),
        ("POST", "/v1/batch", b'{"batch":[{"type":"track","event":"a"}]}', basic, "shop"),
        ("POST", "/api/event", b'{"n":"a","u":"/","d":"key-two"}', {}, "blog"),
        ("POST", "/api/send", b'{"type":"event","payload":{"website":"key-two"}}', {}, "blog"),
        ("POST", "/api/batch", b'[{"type":"event","payload":{"website":"key-two"}}]', {}, "blog"),
        ("POST", "/track", event, {"X_Token": "secret_token"}, None),
    ]
    for number, (method, path, body, headers, _) in enumerate(calls, 1):
        got = await http.call(method, path, body, **headers)
        assert got.status in {200, 202}, (path, got)
        events = await stored(kafka, settings.namespace)
        assert len(events) == number, (path, got)
    apps = [event.get("app_name") for event in await stored(kafka, settings.namespace)]
    assert sorted(apps, key=str) == sorted((call[4] for call in calls), key=str)


async def test_an_unknown_write_key_is_refused_in_the_clients_own_way(
    serve_ready: Serve, make_settings: MakeSettings, kafka: KafkaClient
) -> None:
    settings = await make_settings(write_keys="key-one=shop")
    http = await serve_ready(settings)
    event = b'{"type":"a"}'
    for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic %%%"}):
        for method, path in (("POST", "/events"), ("PUT", "/event_generate"), ("POST", "/")):
            got = await http.call(method, path, event, **headers)
            assert (got.status, got.json["code"]) == (401, "unknown_write_key")
            assert "key-one" not in got.body.decode()
    for path, body in (
        ("/v1/track", b'{"event":"a","writeKey":"nonsense"}'),
        ("/v1/batch", b'{"batch":[{"type":"track","event":"a"}],"writeKey":7}'),
        ("/api/send", b'{"type":"event","payload":{"website":"nonsense"}}'),
    ):
        got = await http.post(path, body)
        assert (got.status, got.json["code"]) == (401, "unknown_write_key")
    got = await http.post("/api/event", b'{"n":"a","u":"/","d":"nonsense"}')
    assert (got.status, got.body, got.headers["x-plausible-dropped"]) == (202, b"ok", "1")
    assert (await http.get("/v1/projects/nonsense/settings")).status == 401
    assert await stored(kafka, settings.namespace) == []


async def test_of_a_batch_an_unknown_write_key_has_the_same_code(
    serve_ready: Serve, make_settings: MakeSettings, kafka: KafkaClient
) -> None:
    settings = await make_settings(write_keys="key-one=shop")
    http = await serve_ready(settings)
    sites = [{"type": "event", "payload": {"website": site}} for site in ("x", "", "key-one")]
    got = await http.post("/api/batch", json.dumps([*sites, {"type": "event"}]).encode())
    assert (got.status, got.json["processed"], got.json["errors"]) == (200, 1, 3)
    found = [(detail["index"], detail["code"]) for detail in got.json["details"]]
    assert found == [(0, "unknown_write_key"), (1, "unknown_write_key"), (3, "invalid_field")]
    assert "key-one" not in got.body.decode()
    (event,) = await stored(kafka, settings.namespace)
    assert event["app_name"] == "shop"
    # The others have one key for all, in the request or what surrounds the events.
    track = b'{"batch":[{"type":"track","event":"a","writeKey":"key-one"}]}'
    cloud = b'[{"specversion":"1.0","id":"1","source":"/","type":"a"}]'
    for path, body, kind in (
        ("/v1/batch", track, "application/json"),
        ("/v1/b", track, "text/plain"),
        ("/events", cloud, "application/cloudevents-batch+json"),
    ):
        got = await http.post(path, body, Content_Type=kind)
        assert (got.status, got.json["code"]) == (401, "unknown_write_key"), path
    assert len(await stored(kafka, settings.namespace)) == 1


async def test_an_event_with_an_unknown_write_key_counts_as_rejected(
    serve: Serve, make_settings: MakeSettings
) -> None:
    http = await serve(await make_settings(kafka="127.0.0.1:1", write_keys="key-one=shop"))
    counted = metrics.events_rejected.labels("unknown_write_key")._value.get
    site = b'{"type":"event","payload":{"website":"x"}}'
    for path, body in (
        ("/api/event", b'{"n":"a","u":"/","d":"x"}'),
        ("/api/send", site),
        ("/api/batch", b"[%b]" % site),
        ("/v1/track", b'{"event":"a"}'),
    ):
        before = counted()
        await http.post(path, body)
        assert counted() == before + 1, path
