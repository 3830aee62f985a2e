"""GET /openapi.json names the headers and keys that the server takes, and no others."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from tests.conftest import MakeSettings
from tests.support.http import Answer, Http
from tests.web.conftest import Serve
from web.http import paths
from web.http.openapi import document
from web.http.paths import CALLS, Call, Kind

KEY = "the-key"
AWAY = {"kafka": "127.0.0.1:1", "count_urls": "http://127.0.0.1:1"}
EVENT = b'{"type":"A"}'
SITE = b'{"type":"event","payload":{"url":"/a"}}'
# What each call takes without a fault; Kafka and the count worker are away.
BODIES = {
    paths.EVENT_GENERATE: EVENT,
    paths.TRACK: EVENT,
    paths.ADS: EVENT,
    paths.EVENTS: EVENT,
    paths.SEGMENT_BATCH: b'{"batch":[{"type":"track","event":"a"}]}',
    paths.SEGMENT: b'{"event":"a"}',
    paths.PLAUSIBLE: b'{"name":"a","url":"/a","domain":"s"}',
    paths.UMAMI: SITE,
    paths.UMAMI_BATCH: b"[" + SITE + b"]",
    paths.EVENT_TRACK: b'{"url":"/a"}',
    paths.EVENT_REPORT: b'{"url":"/a","date":"2026-11-30"}',
}
ASKED = [call for call in CALLS if call.kind is not Kind.INTERNAL]
TAKES_EVENTS = [call for call in CALLS if call.takes_events]
DROPPED = "x-plausible-dropped"  # how Plausible refuses a key


@pytest.fixture
async def away(serve: Serve, make_settings: MakeSettings) -> Http:
    """Return a client of a collector that can neither store nor ask."""
    return await serve(await make_settings(**AWAY))


async def made(http: Http, call: Call, query: str = "", **headers: str) -> Answer:
    """Make a call that has no fault but what is added to it."""
    path = call.path.replace("{call}", "track") + ("?type=A" if call is paths.PIXEL else "?")
    headers = {"X_Token": "secret_token", **headers}
    return await http.call(call.method, f"{path}&{query}", BODIES.get(call), **headers)


def operation(call: Call) -> Any:
    return document()["paths"][call.path][call.method.lower()]


def headers_of(call: Call) -> dict[str, Any]:
    """Return the header parameters of a call by name."""
    return {p["name"]: p for p in operation(call)["parameters"] if p["in"] == "header"}


def test_each_call_with_a_body_is_among_them() -> None:
    assert {call for call in ASKED if call.method != "GET"} == BODIES.keys()


async def test_an_idempotency_key_is_named_where_it_is_taken(away: Http) -> None:
    too_long = "k" * 256
    taken = {
        c for c in TAKES_EVENTS if (await made(away, c, Idempotency_Key=too_long)).status == 400
    }
    assert {paths.EVENT_GENERATE, paths.TRACK, paths.ADS, paths.EVENTS} <= taken
    assert {call for call in CALLS if call.kind is not Kind.INTERNAL} >= taken
    assert {call for call in BODIES if "Idempotency-Key" in headers_of(call)} == taken


async def test_a_content_encoding_is_named_where_it_is_taken(away: Http) -> None:
    for call in BODIES:
        assert (await made(away, call, Content_Encoding="br")).status == 415, call.path
        assert {"gzip", "deflate"} <= set(headers_of(call)["Content-Encoding"]["schema"]["enum"])


async def test_a_token_that_is_asked_for_is_required() -> None:
    assert headers_of(paths.TRACK)["X-Token"]["required"] is True


def test_headers_of_other_clients_are_named() -> None:
    assert {"ce-id", "ce-source", "ce-specversion", "ce-type"} <= headers_of(paths.EVENTS).keys()
    for call in (paths.UMAMI, paths.UMAMI_BATCH):
        assert "x-umami-cache" in headers_of(call)


def presented(scheme: dict[str, str]) -> tuple[str, dict[str, str]]:
    """Return a key as a security scheme says it is sent: in the query, in headers."""
    if scheme["type"] == "apiKey":
        assert scheme["in"] == "query"
        return f"{scheme['name']}={KEY}", {}
    user = b64encode(f"{KEY}:".encode()).decode()
    given = {"basic": f"Basic {user}", "bearer": f"Bearer {KEY}"}[scheme["scheme"]]
    return "", {"Authorization": given}


def is_taken(answer: Answer) -> bool:
    """Return whether an event was let in; Plausible and Umami refuse a key with a success."""
    if answer.status not in {200, 202} or DROPPED in answer.headers:
        return False
    return b'"processed":0' not in answer.body


async def test_a_write_key_is_taken_in_each_place_that_is_named(
    serve_ready: Serve, make_settings: MakeSettings
) -> None:
    http = await serve_ready(await make_settings(count_urls="", write_keys=f"{KEY}=shop"))
    schemes = document()["components"]["securitySchemes"]
    places = {"write_key", "write_key_as_user", "write_key_as_parameter"}
    for call in TAKES_EVENTS:
        named = {name for one in operation(call).get("security", []) for name in one}
        assert named == (set() if call is paths.TRACK else places), call.path
        assert is_taken(await made(http, call)) == (call is paths.TRACK), call.path
        for name in named:
            query, headers = presented(schemes[name])
            assert is_taken(await made(http, call, query, **headers)), (call.path, name)


def test_answers_say_when_to_come_again_and_how_old_they_are() -> None:
    for call in ASKED:
        answers = operation(call)["responses"]
        assert "Retry-After" in answers["default"]["headers"]
        headers = answers[min(answers)].get("headers", {})
        assert ("X-Event-Counter-As-Of" in headers) == call.by_count, call.path
        assert ("X-Event-Position" in headers) == call.takes_events, call.path
