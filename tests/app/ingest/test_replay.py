"""event-counter replay: what was rejected, anew, each at most once."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from app.errors import RejectedError
from app.events.decoding import decode
from app.events.rejects import reject_record
from app.ingest.replay import Rejection, decode_rejection, sendable
from app.kafka.clients import KafkaClients
from app.kafka.remembered import Remembered
from app.names import Names
from app.settings import Settings
from tests.support.kafka_client import KafkaClient
from tests.support.running_copy import ROOT, environment
from tests.support.seeds import kill_seed
from tests.support.waiting import wait_until

CAME_MS = 1_790_000_000_000
NOW_MS = CAME_MS + 3 * 86_400_000
RECENT_MS = time.time_ns() // 1_000_000 - 86_400_000
OLD_MS = RECENT_MS - 7 * 86_400_000  # Kafka deletes what is older than its retention
Replay = Callable[..., subprocess.Popen[bytes]]


def rejected(value: bytes, offset: int = 0, timestamp: int = CAME_MS) -> tuple[bytes, bytes, Any]:
    """Return key, value and headers as role count sends them."""
    record = SimpleNamespace(
        topic="events", partition=0, offset=offset, timestamp=timestamp, value=value
    )
    with pytest.raises(RejectedError) as caught:
        decode(value, timestamp)
    return reject_record(record, caught.value)


def rejection(value: bytes) -> Rejection:
    return decode_rejection(rejected(value)[1])


@pytest.mark.parametrize(
    "value",
    [b"\xff\x00{", b'{"type":"\xed\xa0\x80"}', "{'ü': 😀}".encode(), b"\\xff", b'{"a":"\\u0000"}'],
)
def test_a_payload_is_kept_byte_for_byte(value: bytes) -> None:
    message = json.loads(rejected(value)[1])
    kept = message.get("payload_base64")
    assert (base64.b64decode(kept) if kept else message["payload"].encode()) == value
    assert list(message)[:6] == ["code", "message", "topic", "partition", "offset", "payload"]
    assert len(message) == (6 if kept is None else 7)


def test_what_has_become_an_event_is_sent_as_it_was() -> None:
    value = b'{ "type":"A","timestamp":"2026-09-23T14:13:20Z"}'  # the future, then
    key, sent, at_ms = sendable(rejection(value), CAME_MS, {}, NOW_MS)
    assert (key, sent, at_ms) == (None, value, NOW_MS)


def test_fields_can_be_set_and_the_event_is_of_when_it_came() -> None:
    value = b'{"type":"A","timestamp":"tomorrow","user_id":7}'
    key, sent, at_ms = sendable(rejection(value), CAME_MS, {"timestamp": None}, NOW_MS)
    assert (key, at_ms) == (b"7", CAME_MS)
    assert json.loads(sent) == {"type": "A", "timestamp": None, "user_id": 7}


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"no json", "malformed_json"),
        (b"[1]", "not_an_object"),
        (b'{"url":"/"}', "missing_type"),
        (b'{"type":"' + b"x" * 40_000 + b'"}', "too_large"),
    ],
)
def test_what_is_still_no_event_says_why(value: bytes, code: str) -> None:
    with pytest.raises(RejectedError) as caught:
        sendable(rejection(value), CAME_MS, {"value": 1}, NOW_MS)
    assert caught.value.code == code


@pytest.fixture
def replay(settings: Settings, topics: Names, tmp_path: Path) -> Iterator[Replay]:
    """Yield a function that starts the command; what still runs at the end is killed."""
    assert topics
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        given = {"kafka": settings.kafka, "namespace": settings.namespace}
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "replay", *arguments],
            env={**environment(given), "PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


def said(process: subprocess.Popen[bytes]) -> list[str]:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out.decode().splitlines()


async def reject(
    kafka: KafkaClient, topics: Names, values: list[bytes], at_ms: int = RECENT_MS
) -> None:
    made = [rejected(value, offset, at_ms) for offset, value in enumerate(values)]
    await kafka.send_records(topics.rejected, made)


async def test_each_is_sent_at_most_once_by_code_and_time(
    replay: Replay, kafka: KafkaClient, topics: Names
) -> None:
    bad_time = b'{"type":"A","timestamp":"x","n":%d}'
    await reject(kafka, topics, [bad_time % n for n in range(3)] + [b"{}", b"\xff"])
    await kafka.send(topics.rejected, [b"of somebody else"])
    assert said(replay("--set", "timestamp=null", "--dry-run")) == [
        "invalid_timestamp: 3 would be sent",
        "malformed_json: 0 would be sent, 1 still rejected (malformed_json 1)",
        "missing_type: 0 would be sent, 1 still rejected (missing_type 1)",
        "would replay 3",
    ]
    assert sum((await kafka.ends(topics.events)).values()) == 0
    wanted = ("--code", "invalid_timestamp", "--set", "timestamp=null")
    assert said(replay(*wanted, "--to", "2020-01-01")) == ["replayed 0"]
    assert said(replay(*wanted))[-1] == "replayed 3"
    assert said(replay(*wanted, "--from", "2020-01-01")) == [
        "invalid_timestamp: 0 sent, 3 replayed before",
        "replayed 0",
    ]
    assert said(replay("--code", "missing_type", "--set", "type=B"))[-1] == "replayed 1"
    found = [json.loads(value) for value in await kafka.values(topics.events)]
    assert Counter(event["type"] for event in found) == {"A": 3, "B": 1}
    assert {record.timestamp for record in await kafka.read(topics.events)} == {RECENT_MS}


async def test_what_kafka_would_delete_at_once_stays_rejected(
    replay: Replay, kafka: KafkaClient, topics: Names
) -> None:
    await reject(kafka, topics, [b'{"type":"A","timestamp":"x"}'], OLD_MS)
    assert said(replay("--set", "timestamp=null")) == [
        "invalid_timestamp: 0 sent, 1 still rejected (outside_retention 1)",
        "replayed 0",
    ]
    assert await kafka.values(topics.events) == []


async def test_killed_and_called_again_it_sends_each_once(
    replay: Replay, kafka: KafkaClient, topics: Names, request: pytest.FixtureRequest
) -> None:
    seed = kill_seed()
    request.node.add_report_section("call", "seed", f"KILL_SEED={seed}")  # a failure shows it
    rng = random.Random(seed)
    count = 12_000  # one process takes about a second
    await reject(
        kafka, topics, [b'{"type":"A","timestamp":"x","url":"/%d"}' % n for n in range(count)]
    )
    for _ in range(3):
        process = replay("--set", "timestamp=null")
        ends = sum((await kafka.ends(topics.replayed)).values())
        await wait_until(
            lambda: kafka.ends(topics.replayed),
            lambda now, e=ends, p=process: sum(now.values()) > e or p.poll() is not None,
        )
        await asyncio.sleep(rng.random() / 20)
        process.kill()
        process.communicate()
    together = [replay("--set", "timestamp=null") for _ in range(2)]
    for process in together:
        process.communicate(timeout=60)
    assert said(replay("--set", "timestamp=null"))[-1].startswith("replayed ")
    assert said(replay("--set", "timestamp=null"))[-1] == "replayed 0"
    records = await committed(kafka, topics.events)
    assert Counter(json.loads(value)["url"] for value in records) == {
        f"/{n}": 1 for n in range(count)
    }


async def committed(kafka: KafkaClient, topic: str) -> list[bytes]:
    """Return the values that readers of committed records see."""
    found = []
    ends = await kafka.ends(topic)
    async with AIOKafkaConsumer(
        bootstrap_servers=kafka.address, isolation_level="read_committed"
    ) as consumer:
        parts = [TopicPartition(topic, number) for number in ends]
        consumer.assign(parts)
        await consumer.seek_to_beginning(*parts)
        while behind := [p for p in parts if await consumer.position(p) < ends[p.partition]]:
            batches = await consumer.getmany(*behind, timeout_ms=200)
            found += [record.value for records in batches.values() for record in records]
    return found


def test_a_payload_that_is_no_base64_is_no_rejection() -> None:
    body = json.loads(rejected(b"\xff")[1]) | {"payload_base64": "!"}
    with pytest.raises(msgspec.MsgspecError):
        decode_rejection(json.dumps(body).encode())


async def test_what_a_topic_remembers_is_the_last_of_each_key(
    kafka: KafkaClient, settings: Settings, topics: Names
) -> None:
    async with Remembered(KafkaClients.of(settings), topics.places) as remembered:
        await remembered.write({"a": b"1", "b": b"2"}, "one\n")
        await remembered.write({"a": b"3", "b": None, "c": b"4"}, "one\n")
        await remembered.write({"a": b"5"}, "two\n")
        assert await remembered.read("one\n") == {"a": b"3", "c": b"4"}
        assert await remembered.read("two\n") == {"a": b"5"}
    assert len(await kafka.values(topics.places)) == 6
