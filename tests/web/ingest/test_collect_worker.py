"""The collector as the process that users run, while its Kafka freezes and dies."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from functools import partial

import aiohttp
import pytest

from app.kafka.topics import ensure_topics
from app.names import Names
from app.settings import Settings
from app.stack.ports import free_port
from tests.conftest import StartWorker
from tests.support.http import Answer, Http
from tests.support.kafka_client import KafkaClient
from tests.support.kafka_faults import MortalKafka
from tests.support.waiting import SOON_S, wait_until

EVENT = b'{"type":"CLICK","url":"/a"}'


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """Yield an HTTP session."""
    async with aiohttp.ClientSession() as opened:
        yield opened


async def settings_on(broker: MortalKafka) -> Settings:
    """Return settings of a collector whose topics exist."""
    settings = Settings(
        kafka=broker.address,
        http_port=free_port(),
        namespace=f"t{uuid.uuid4().hex[:10]}.",
        token="secret_token",
    )
    await ensure_topics(settings)
    return settings


async def statuses(http: Http) -> set[int]:
    """Return those of what is read from Kafka for an answer, which comes soon in any case."""
    begun = time.monotonic()
    paths = ("/stats/rates", "/rejected", "/alerts?limit=1000")
    answers = await asyncio.gather(*map(http.get, paths))
    assert time.monotonic() - begun < SOON_S
    assert all("Retry-After" in answer.headers for answer in answers if answer.status == 503)
    return {answer.status for answer in answers}


async def test_a_collector_outlives_its_kafka(
    broker: MortalKafka, start_worker: StartWorker, session: aiohttp.ClientSession
) -> None:
    settings = await settings_on(broker)
    worker = await start_worker(settings, "collect")
    http = Http(session, worker.url)
    reads = partial(statuses, http)
    acknowledged = unsure = 0

    async def put() -> Answer:
        nonlocal acknowledged, unsure
        answer = await http.call("PUT", "/event_generate/", EVENT)
        assert answer.status in {200, 503}
        acknowledged += answer.status == 200
        unsure += b"may or may not be stored" in answer.body
        return answer

    assert (await put()).body == b"OK"
    await wait_until(reads, {200})
    with broker.frozen():
        begun = time.monotonic()
        answer = await put()
        assert (answer.status, answer.json["code"]) == (503, "kafka_unavailable")
        assert time.monotonic() - begun < SOON_S
        await wait_until(reads, {503}, deadline_s=30)
    await wait_until(put, lambda answer: answer.status == 200, deadline_s=30)
    broker.kill()
    begun = time.monotonic()
    assert (await put()).status == 503
    assert time.monotonic() - begun < SOON_S
    assert (await http.get("/ready")).status == 503
    await wait_until(reads, {503}, deadline_s=30)
    await broker.start()
    await wait_until(put, lambda answer: answer.status == 200, deadline_s=30)
    await wait_until(reads, {200}, deadline_s=30)
    assert worker.child.alive()
    async with KafkaClient(broker.address) as kafka:
        found = len(await kafka.values(Names(settings.namespace).events))
    assert acknowledged <= found <= acknowledged + unsure
