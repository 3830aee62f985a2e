"""The schemas of events in openapi.json refuse nothing that the server takes."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator, oas31_format_checker

from app.errors import InvalidFieldError
from app.events.decoding import decode
from app.events.event import Event
from tests.app.events.test_decoding import click, table
from tests.support.random_events import NOW_MS
from web.http import paths
from web.http.openapi import document
from web.http.paths import Call
from web.ingest import cloudevents, plausible, segment, umami

SCHEMAS = document()["components"]["schemas"]
FIELDS: dict[str, Any] = SCHEMAS["Event"]["properties"]
VALIDATOR = OAS31Validator(SCHEMAS["Event"], format_checker=oas31_format_checker)
OF_PLAUSIBLE, OF_UMAMI = partial(plausible.fields_of, None), partial(umami.fields_of, None, None)
CLIENTS: list[tuple[Call, str, Callable[[bytes], object], str]] = [
    (paths.PLAUSIBLE, "application/json", OF_PLAUSIBLE, body)
    for body in (
        '{"name":"a","url":"/","domain":"s","props":{"a":1}}',
        '{"name":"a","props":"{\\"a\\":1}"}',
        '{"n":"a","u":"/","d":"s","p":{"a":1}}',
        '{"n":"a","p":"{}"}',
    )
]
CLIENTS += [
    (paths.UMAMI, "application/json", OF_UMAMI, '{"type":"identify","payload":{}}'),
    (paths.SEGMENT_BATCH, "application/json", segment.envelope_of, '{"batch":[],"writeKey":null}'),
    (
        paths.EVENTS,
        cloudevents.STRUCTURED,
        cloudevents.structured,
        '{"specversion":"1.0","id":"1","source":"/","type":"a","time":null,"subject":null}',
    ),
]
LIMITS = [("type", 255), ("url", 2048), ("message_id", 255)]
TEXTS = sorted(set(Event.__struct_fields__) - {"timestamp", "received_at", "value", "properties"})


def refused(body: bytes) -> list[str]:
    """Return what the schema has against an event that the server takes."""
    assert decode(body, NOW_MS)
    return [error.message for error in VALIDATOR.iter_errors(json.loads(body))]


def test_it_has_all_fields() -> None:
    assert set(FIELDS) == set(Event.__struct_fields__)
    assert SCHEMAS["Event"]["required"] == ["type"]


@pytest.mark.parametrize(("name", "body", "_event"), table("accepted_events.json"))
def test_what_is_taken_with_a_type_by_that_name_is_valid(name: str, body: str, _event: Any) -> None:
    if isinstance(json.loads(body).get("type"), str):
        assert refused(body.encode()) == [], name


@pytest.mark.parametrize(("text", "_moment"), table("event_times.json"))
@pytest.mark.parametrize("field", ["timestamp", "received_at"])
def test_a_time_that_is_read_is_valid(text: str, _moment: str, field: str) -> None:
    assert refused(b'{"type":"A","%b":%b}' % (field.encode(), text.encode())) == []


@pytest.mark.parametrize(("field", "limit"), LIMITS)
@pytest.mark.parametrize("character", ["u", "é", "日", "😀"])
def test_the_longest_text_is_valid(field: str, limit: int, character: str) -> None:
    fits = character * (limit // len(character.encode()))
    assert refused(click(**{field: fits})) == []


@pytest.mark.parametrize(("field", "limit"), LIMITS)
def test_a_text_that_is_too_long_by_any_measure_is_not(field: str, limit: int) -> None:
    body = click(**{field: "u" * (limit + 1)})
    with pytest.raises(InvalidFieldError):
        decode(body, NOW_MS)
    assert not VALIDATOR.is_valid(json.loads(body))
    assert f"{limit:,} bytes in UTF-8" in FIELDS[field]["description"]


@pytest.mark.parametrize("field", ["referrer", "user_agent"])
def test_what_is_cut_has_no_limit(field: str) -> None:
    assert refused(click(**{field: "u" * 5000})) == []
    assert "2,048 bytes in UTF-8" in FIELDS[field]["description"]


@pytest.mark.parametrize("field", TEXTS)
def test_numbers_nothing_and_empty_texts_are_valid_where_they_are_taken(field: str) -> None:
    for value in (5, None, ""):
        if field != "type":
            assert refused(click(**{field: value})) == [], value


@pytest.mark.parametrize(("call", "kind", "read", "body"), CLIENTS)
def test_what_is_taken_of_other_clients_is_valid(
    call: Call, kind: str, read: Callable[[bytes], object], body: str
) -> None:
    assert read(body.encode())
    made = document()
    taken = made["paths"][call.path]["post"]["requestBody"]["content"][kind]["schema"]
    validator = OAS31Validator({**taken, "components": made["components"]})
    assert list(validator.iter_errors(json.loads(body))) == []
