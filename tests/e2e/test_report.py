"""From a PUT to the reports, through real workers: answers byte for byte."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import aiohttp
import pytest

from app.ingest.generator import Generator
from app.kafka.topics import ensure_topics
from app.names import Names
from app.settings import Settings
from tests.conftest import MakeSettings, StartWorker
from tests.support.kafka_client import KafkaClient
from tests.support.waiting import wait_until

EXAMPLE = (
    '{"uuid":"c7a84fa3-bd42-4c6c-acbd-50506325ac1","url":"https://www.example.net",'
    '"type":"CLICK","ip":"323.3253.34.999"}'
)
URL = "https://www.example.net"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """Yield a client that lasts for the test."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


async def ask(
    http: aiohttp.ClientSession, method: str, url: str, body: object = None
) -> tuple[int, str]:
    """Return (status, body) of one call."""
    data = None if body is None else json.dumps(body)
    async with http.request(method, url, data=data) as answer:
        return answer.status, await answer.text()


async def total(http: aiohttp.ClientSession, base: str) -> int:
    """Return the events of all types; 0 while nobody can say."""
    status, text = await ask(http, "GET", f"{base}/counts/events_by_type")
    return sum(json.loads(text)["total"].values()) if status == 200 else 0


@pytest.mark.usefixtures("topics")
async def test_one_put_is_counted_stored_and_reported(
    settings: Settings, start_worker: StartWorker, http: aiohttp.ClientSession
) -> None:
    await start_worker(settings, "count")
    collect = await start_worker(settings, "collect")
    async with http.put(f"{collect.url}/event_generate/", data=EXAMPLE) as answer:
        assert (answer.status, await answer.read()) == (200, b"OK")
    now = datetime.now(UTC)
    expected = (
        f'{{"url":"{URL}","events":[{{"type":"CLICK","count":1}},{{"type":"VIEW","count":0}}]}}'
    )
    for path in ("/event_track/", "/event_track"):
        await wait_until(
            partial(ask, http, "POST", collect.url + path, {"url": URL}), (200, expected)
        )
    day = {"url": URL, "date": f"{now:%Y-%m-%d}"}
    status, text = await ask(http, "POST", f"{collect.url}/event_report/", day)
    hours = ",".join(
        f'{{"datehour":{hour},"eventCounts":[{{"type":"CLICK","count":{int(hour == now.hour)}}},'
        '{"type":"VIEW","count":0}]}'
        for hour in range(24)
    )
    assert (status, text) == (
        200,
        f'{{"url":"{URL}","date":"{now:%Y-%m-%d}","dateHourEventCounts":[{hours}]}}',
    )
    status, text = await ask(http, "GET", f"{collect.url}/counts/events_by_url_hourly?key={URL}")
    start = f"{now:%Y-%m-%dT%H:00:00Z}"
    assert status == 200
    assert text == (
        f'{{"counter":"events_by_url_hourly","key":"{URL}",'
        f'"windows":[{{"start":"{start}","counts":{{"CLICK":1}}}}],"total":{{"CLICK":1}}}}'
    )


async def test_hours_add_up_to_the_days_of_a_time_zone(
    shared_workers: str, http: aiohttp.ClientSession
) -> None:
    url = "/zoned"
    begin = datetime(2025, 10, 24, 22, tzinfo=UTC)  # three days in Berlin, of 24, 25 and 24 hours
    views = [
        {"type": "VIEW", "url": url, "timestamp": (begin + timedelta(hours=n)).isoformat()}
        for n in range(24 + 25 + 24)
    ]
    await ask(http, "POST", f"{shared_workers}/events", views)
    path = f"{shared_workers}/counts/events_by_url_hourly?key={url}&by=1d&tz=Europe/Berlin"
    days = [("2025-10-25T00:00:00+02:00", 24), ("2025-10-26T00:00:00+02:00", 25)]
    days.append(("2025-10-27T00:00:00+01:00", 24))
    expected = {
        "counter": "events_by_url_hourly",
        "key": url,
        "windows": [{"start": start, "counts": {"VIEW": n}} for start, n in days],
        "total": {"VIEW": 73},
    }

    async def asked() -> object:
        return json.loads((await ask(http, "GET", path))[1])

    await wait_until(asked, expected)
    lines = [f"{start},VIEW,{n}" for start, n in days]
    text = "\r\n".join(["start,label,count", *lines, ""])
    assert await ask(http, "GET", f"{path}&format=csv") == (200, text)
    report = {"url": url, "date": "2025-10-26", "tz": "Europe/Berlin"}
    status, body = await ask(http, "POST", f"{shared_workers}/event_report/", report)
    hours = json.loads(body)["dateHourEventCounts"]
    assert status == 200
    assert [hour["eventCounts"][1]["count"] for hour in hours] == [1] * 25
    assert hours[0]["start"] == "2025-10-26T00:00:00+02:00"


async def test_a_wrong_method_is_told_so(shared_workers: str, http: aiohttp.ClientSession) -> None:
    status, text = await ask(http, "GET", f"{shared_workers}/event_track/")
    assert (status, json.loads(text)["code"]) == (405, "method_not_allowed")


async def test_three_workers_answer_as_one(
    settings: Settings,
    topics: Names,
    kafka: KafkaClient,
    start_worker: StartWorker,
    http: aiohttp.ClientSession,
) -> None:
    workers = [await start_worker(settings, "count") for _ in range(3)]
    urls = [f"/page/{number}" for number in range(20)]
    for number, url in enumerate(urls):
        event = json.dumps({"type": "VIEW", "url": url}).encode()
        await kafka.send(topics.events, [event] * (number + 1), partition=number % 4)
    sent = sum(range(1, len(urls) + 1))
    for worker in workers:
        await wait_until(partial(total, http, worker.url), sent, deadline_s=30)
        for number, url in enumerate(urls):
            track = partial(ask, http, "POST", f"{worker.url}/event_track/", {"url": url})
            expected = f'[{{"type":"CLICK","count":0}},{{"type":"VIEW","count":{number + 1}}}]'
            # The rows of the totals lie on other partitions, and may be merged sooner.
            await wait_until(track, (200, f'{{"url":"{url}","events":{expected}}}'))


async def test_each_reject_code_reaches_its_topic_and_the_metrics(
    settings: Settings,
    topics: Names,
    kafka: KafkaClient,
    start_worker: StartWorker,
    http: aiohttp.ClientSession,
) -> None:
    worker = await start_worker(settings, "count")
    future = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    bad = {
        "malformed_json": b'{"type":',
        "not_an_object": b"[1]",
        "missing_type": b'{"url":"/a"}',
        "invalid_field": b'{"type":"VIEW","url":7.5}',
        "invalid_timestamp": b'{"type":"VIEW","timestamp":"noon"}',
        "timestamp_in_future": json.dumps({"type": "VIEW", "timestamp": future}).encode(),
        "too_large": b'{"type":"VIEW","url":"' + b"a" * 32_768 + b'"}',
    }
    for value in bad.values():
        good = b'{"type":"VIEW","url":"/good"}'
        await kafka.send(topics.events, [value, good], partition=1)
    await wait_until(lambda: total(http, worker.url), len(bad), deadline_s=30)
    rejected = await wait_until(
        lambda: _decoded(kafka, topics.rejected), lambda values: len(values) >= len(bad)
    )
    assert [record["code"] for record in rejected] == list(bad)
    for position, record in enumerate(rejected):
        assert list(record) == ["code", "message", "topic", "partition", "offset", "payload"]
        assert (record["topic"], record["partition"]) == (topics.events, 1)
        assert record["offset"] == 2 * position
        assert record["payload"] == list(bad.values())[position].decode()[:32_768]
    _, metrics = await ask(http, "GET", f"{worker.url}/metrics")
    for code in bad:
        assert f'event_counter_events_rejected_total{{code="{code}"}} 1.0' in metrics


async def test_running_totals_are_republished_when_they_change(
    make_settings: MakeSettings, kafka: KafkaClient, start_worker: StartWorker
) -> None:
    settings: Settings = await make_settings(totals_interval_s=0.2)
    await ensure_topics(settings)
    names = Names(settings.namespace)
    await start_worker(settings, "count")
    for number, kind in enumerate(["productview", "purchase", "productview"]):
        event = {"eventName": kind, "userId": f"u{number}", "date": "2020-03-25T19:05:49UTC"}
        await kafka.send(names.events, [json.dumps(event).encode()], partition=number)
        await wait_until(
            partial(_published, kafka, names),
            lambda sums: sums[-1:] == [number + 1],  # noqa: B023 - asked in this turn only
        )
    messages = await _decoded(kafka, names.totals)
    last = messages[-1]
    received = datetime.strptime(last.pop("receiveAt"), "%Y-%m-%dT%H:%M:%SUTC").replace(tzinfo=UTC)
    assert last == {"productview": 2, "purchase": 1}
    assert abs(received - datetime.now(UTC)) < timedelta(minutes=1)
    expected = Counter(last) + await _send_clickstream(kafka, names.events, 2000)

    async def newest() -> dict[str, int]:
        return {k: n for k, n in (await _decoded(kafka, names.totals))[-1].items() if k in expected}

    await wait_until(newest, dict(expected))
    sums = await _published(kafka, names)
    assert sums == sorted(set(sums)), "one message for each change, and never less than before"


async def _send_clickstream(kafka: KafkaClient, topic: str, events: int) -> Counter[str]:
    """Send events as a clickstream producer does, with random keys and none; return their types."""
    rng = random.Random(4)
    records = Generator("clickstream").events(events, time.time_ns() // 1000)
    keys = [rng.choice([None, b"", rng.randbytes(rng.randrange(1, 20))]) for _ in records]
    values = [value for _, value, _ in records]
    sending = (kafka.send(topic, [v], key=k) for k, v in zip(keys, values, strict=True))
    await asyncio.gather(*sending)
    return Counter(json.loads(value)["eventName"] for value in values)


async def _published(kafka: KafkaClient, names: Names) -> list[int]:
    values = await _decoded(kafka, names.totals)
    return [sum(n for key, n in value.items() if key != "receiveAt") for value in values]


async def _decoded(kafka: KafkaClient, topic: str) -> list[dict[str, Any]]:
    return [json.loads(value) for value in await kafka.values(topic)]


async def test_metrics_show_lag_and_rows(
    shared_workers: str, shared_count_url: str, http: aiohttp.ClientSession
) -> None:
    async def shown() -> dict[str, float]:
        _, text = await ask(http, "GET", f"{shared_count_url}/metrics")
        samples = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in samples}

    counted = "event_counter_events_counted_total"
    before = (await shown())[counted]
    event = {"type": "VIEW", "url": "/metrics"}
    assert (await ask(http, "POST", f"{shared_workers}/events", event))[0] == 200
    lag = 'event_counter_lag_records{group="shared.event-counter-count",'
    names = [f'{lag}partition="{p}",topic="shared.events"}}' for p in range(4)]
    await wait_until(shown, lambda found: [found.get(name) for name in names] == [0] * 4)
    await wait_until(shown, lambda found: found[counted] == before + 1)
