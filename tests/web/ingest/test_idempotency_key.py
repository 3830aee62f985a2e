"""The header Idempotency-Key: the message_id of what has none, and how long it may be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.names import Names
from tests.support.http import Http
from tests.support.kafka_client import KafkaClient

DOORS = (("PUT", "/event_generate/"), ("POST", "/track"), ("POST", "/"))


async def message_ids(kafka: KafkaClient, topics: Names) -> list[Any]:
    return [json.loads(value).get("message_id") for value in await kafka.values(topics.events)]


@pytest.mark.parametrize(("method", "path"), DOORS)
async def test_a_single_event_takes_its_message_id_from_the_header(
    http: Http, kafka: KafkaClient, topics: Names, method: str, path: str
) -> None:
    sent: tuple[tuple[bytes, dict[str, str]], ...] = (
        (b'{"type":"A"}', {"Idempotency_Key": "k"}),
        (b'{"type":"A","messageId":"own"}', {"Idempotency_Key": "k"}),
        (b'{"type":"A","message_id":""}', {"Idempotency_Key": "é" * 127 + "x"}),
        (b'{"type":"A"}', {"Idempotency_Key": ""}),
        (b'{"type":"A"}', {}),
    )
    for body, headers in sent:
        got = await http.call(method, path, body, X_Token="secret_token", **headers)
        assert got.status == 200, got
    found = await message_ids(kafka, topics)
    assert sorted(map(str, found)) == sorted(["k", "own", "é" * 127 + "x", "None", "None"])


async def test_an_item_takes_the_key_and_its_place(
    http: Http, kafka: KafkaClient, topics: Names
) -> None:
    sent = b'[{"type":"A"},{"url":"/no-type"},{"type":"A","message_id":"own"},{"type":"A"}]'
    got = await http.post("/events", sent, Idempotency_Key="k")
    assert (got.status, got.json["accepted"]) == (200, 3)
    got = await http.post("/events", b'{"type":"A"}', Idempotency_Key="one")
    assert got.status == 200
    assert sorted(await message_ids(kafka, topics)) == ["k:0", "k:3", "one:0", "own"]


async def test_what_has_neither_user_nor_session_nor_ip_goes_where_its_message_goes(
    http: Http, kafka: KafkaClient, topics: Names
) -> None:
    for _ in range(3):
        await http.call("PUT", "/event_generate/", b'{"type":"A"}', Idempotency_Key="again")
    records = await kafka.read(topics.events)
    assert {(record.key, record.partition) for record in records} == {
        (b"again", records[0].partition)
    }


@pytest.mark.parametrize(("method", "path"), [*DOORS, ("POST", "/events")])
async def test_a_key_that_cannot_be_one_is_a_bad_request(
    http: Http, kafka: KafkaClient, topics: Names, method: str, path: str
) -> None:
    for key in ("k" * 256, "é" * 128):
        got = await http.call(
            method, path, b'{"type":"A"}', X_Token="secret_token", Idempotency_Key=key
        )
        assert (got.status, got.json["code"]) == (400, "bad_request"), got
    assert await kafka.values(topics.events) == []


async def test_of_many_items_the_last_place_must_fit_too(
    http: Http, kafka: KafkaClient, topics: Names
) -> None:
    items = b"[" + b",".join([b'{"type":"A"}'] * 11) + b"]"
    assert (await http.post("/events", items, Idempotency_Key="k" * 253)).status == 400
    assert await kafka.values(topics.events) == []
    assert (await http.post("/events", items, Idempotency_Key="k" * 252)).status == 200
    assert "k" * 252 + ":10" in await message_ids(kafka, topics)
