"""GET /events/{position}: each state as the tables and Postgres see it, and who is asked."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from app.events.filler import filler
from app.kafka.topics import ensure_topics
from app.names import Names
from app.settings import Settings
from tests.conftest import MakeSettings, StartWorker
from tests.support.http import Answer, Http
from tests.support.kafka_client import KafkaClient
from tests.support.kafka_faults import MortalKafka
from tests.support.waiting import wait_until

# Of page views that are older than a day when they come, none is a bot's.
MINUTES_AGO = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=2)
AT = f"{MINUTES_AGO:%Y-%m-%dT%H:%M:%SZ}"
HOUR = f"{MINUTES_AGO:%Y-%m-%dT%H:00:00Z}"


@pytest.fixture(scope="module")
def kafka_part(broker: MortalKafka) -> MortalKafka:
    """Return a Kafka of this module's own: one with the topics of a run takes long to come back."""
    return broker


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """Yield an HTTP session."""
    async with aiohttp.ClientSession() as opened:
        yield opened


async def put(http: Http, event: dict[str, Any], **headers: str) -> str:
    """Send an event; return the position of its record."""
    body = json.dumps(event).encode()
    got = await http.call("PUT", "/event_generate/?position=1", body, **headers)
    partition, _, after = got.headers["X-Event-Position"].partition(":")
    return f"{partition}:{int(after) - 1}"


async def trace(http: Http, position: str) -> dict[str, Any]:
    """Return the answer once the event is counted."""

    async def ask() -> Answer:
        return await http.get(f"/events/{quote(position)}")

    def is_judged(answer: Answer) -> bool:
        return answer.status == 200 and answer.json["state"] != "waiting"

    found: dict[str, Any] = (await wait_until(ask, is_judged)).json
    return found


async def sent_all(http: Http, kafka: KafkaClient, names: Names) -> dict[str, str]:
    """Send an event of each fate; return {state: position}."""
    page = {"type": "VIEW", "url": "/a", "user_id": "u", "session_id": "s", "timestamp": AT}
    found = {"counted": await put(http, page)}
    for _ in range(10):
        found["bot"] = await put(http, page)
    await put(http, {"type": "CLICK", "url": "/b", "user_id": "u"}, Idempotency_Key="k")
    found["duplicate"] = await put(
        http, {"type": "CLICK", "url": "/b", "user_id": "u"}, Idempotency_Key="k"
    )
    (offset,) = await kafka.send(names.events, [b'{"url":"/none"}'], partition=0)
    found["rejected"] = f"0:{offset}"
    (offset,) = await kafka.send(names.events, [b"\xff{"], partition=0)
    found["nonsense"] = f"0:{offset}"
    return found


async def check(http: Http, places: dict[str, str], *, stored: bool) -> None:
    """Ask about each of sent_all()."""
    now = await trace(http, places["counted"])
    names = ("position", "state", "code", "event", "received_at", "stored", "counted_in")
    assert tuple(now) == names
    assert (now["position"], now["state"], now["code"]) == (places["counted"], "counted", None)
    assert now["stored"] is stored
    assert now["event"]["url"] == "/a"
    assert now["event"]["timestamp"] == AT
    assert now["received_at"].endswith("Z")
    counted_in = {(one["counter"], one["start"]): one for one in now["counted_in"]}
    assert counted_in["events_by_url", None] == {
        "counter": "events_by_url",
        "key": "/a",
        "label": "VIEW",
        "start": None,
    }
    assert counted_in["events_by_url_hourly", HOUR]["key"] == "/a"
    for state in ("bot", "duplicate"):
        found = await trace(http, places[state])
        assert (found["state"], found["code"], found["stored"]) == (state, None, stored)
        assert found["counted_in"] == []
    found = await trace(http, places["rejected"])
    assert (found["state"], found["code"], found["stored"]) == ("rejected", "missing_type", False)
    assert found["event"] == {"url": "/none"}
    found = await trace(http, places["nonsense"])
    assert (found["state"], found["code"], found["event"]) == ("rejected", "malformed_json", None)


async def by_command(settings: Settings, position: str) -> dict[str, Any]:
    """Return what event-counter trace says."""
    url = f"http://{settings.worker_host}:{settings.worker_port}"
    own = settings.model_copy(update={"count_urls": url})
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app.cli", "trace", position, "--json"),
        env={**os.environ, **own.to_env()},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0
    found: dict[str, Any] = json.loads(said)
    return found


async def test_the_tables_know_what_became_of_an_event(
    make_settings: MakeSettings,
    start_worker: StartWorker,
    session: aiohttp.ClientSession,
    kafka: KafkaClient,
) -> None:
    settings: Settings = await make_settings(postgres="")
    await ensure_topics(settings)
    await start_worker(settings, "count")
    collector = await start_worker(settings, "collect")
    http = Http(session, collector.url)
    places = await sent_all(http, kafka, Names(settings.namespace))
    await check(http, places, stored=False)
    for wrong in ("x", "0:", "0:-1", "0"):
        got = await http.get(f"/events/{wrong}")
        assert (got.status, got.json["code"]) == (400, "bad_request"), wrong
    (lost,) = await kafka.send(Names(settings.namespace).events, [filler(0)], partition=0)
    for nothing in ("0:99999", "99:0", f"0:{lost}"):
        got = await http.get(f"/events/{nothing}")
        assert (got.status, got.json["code"]) == (404, "not_found"), got.body


async def test_postgres_knows_it_and_knows_it_for_longer_than_kafka(
    settings: Settings,
    topics: Names,
    start_worker: StartWorker,
    session: aiohttp.ClientSession,
    kafka: KafkaClient,
) -> None:
    for role in ("count", "store"):
        await start_worker(settings, role)
    collector = await start_worker(settings, "collect")
    http = Http(session, collector.url)
    places = await sent_all(http, kafka, topics)

    async def is_stored() -> bool:
        return bool((await trace(http, places["duplicate"]))["stored"])

    await wait_until(is_stored, expected=True)
    await check(http, places, stored=True)
    live = await trace(http, places["counted"])
    assert await by_command(settings, places["counted"]) == {**live, "archived": None}
    await kafka.delete_before(topics.events, await kafka.ends(topics.events))
    for state in ("counted", "bot", "duplicate"):
        found = await trace(http, places[state])
        assert (found["state"], found["stored"]) == (state, True)
    assert await trace(http, places["counted"]) == live
    got = await http.get(f"/events/{places['rejected']}")
    assert (got.status, got.json["code"]) == (404, "not_found")


async def test_postgres_knows_it_while_kafka_is_away(
    settings: Settings,
    topics: Names,  # noqa: ARG001 - they exist
    start_worker: StartWorker,
    session: aiohttp.ClientSession,
    kafka_part: MortalKafka,
) -> None:
    for role in ("count", "store"):
        await start_worker(settings, role)
    http = Http(session, (await start_worker(settings, "collect")).url)
    place = await put(http, {"type": "VIEW", "url": "/a", "user_id": "u"})

    async def is_stored() -> bool:
        return bool((await trace(http, place))["stored"])

    await wait_until(is_stored, expected=True)
    kafka_part.kill()
    try:
        got = await http.get(f"/events/{place}")
        assert (got.status, got.json["state"], got.json["stored"]) == (200, "counted", True)
        assert (await http.get(f"/events/{place[:2]}99999")).status == 503
    finally:
        await kafka_part.start()


async def test_it_waits_until_the_event_is_counted(
    make_settings: MakeSettings, start_worker: StartWorker, session: aiohttp.ClientSession
) -> None:
    settings: Settings = await make_settings(postgres="")
    await ensure_topics(settings)
    await start_worker(settings, "count")
    http = Http(session, (await start_worker(settings, "collect")).url)
    for number in range(5):
        place = await put(http, {"type": "CLICK", "url": "/a", "user_id": "u", "value": number})
        partition, _, offset = place.partition(":")
        behind = f"/events/{place}?min_position={partition}:{int(offset) + 1}"
        got = await http.get(f"{behind}&wait=10")
        assert (got.status, got.json["state"]) == (200, "counted")
        assert (await http.get(behind)).json == got.json
    never = f"/events/{place}?min_position={partition}:{int(offset) + 2}"
    got = await http.get(f"{never}&wait=0.2")
    assert (got.status, got.json["code"]) == (503, "behind")
    assert int(got.headers["Retry-After"]) > 0
    got = await http.get(f"/events/{place}?min_position=here")
    assert (got.status, got.json["code"]) == (400, "bad_request")
