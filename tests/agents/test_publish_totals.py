"""What goes to unique-event-topic, and what does not."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from agents.publish_totals import (
    VERSION,
    Publisher,
    Succession,
    published_in,
    shown_in_message,
    total_message,
    version_of,
)
from app.errors import KafkaUnavailableError
from app.kafka.clients import KafkaClients
from app.kafka.tail import TopicTail
from app.names import Names
from app.settings import Settings
from app.stack.ports import free_port
from tables.reached import Reached, all_reached
from tests.support.kafka_client import KafkaClient
from tests.support.metrics import passed_records

LATER = datetime(2020, 2, 27, 0, 6, 38, tzinfo=UTC)


class Sent:
    """Stands where Kafka does: what was sent is the last record of the topic."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.headers: dict[str, bytes] = {}

    async def send_and_wait(
        self, _topic: str, value: bytes, headers: list[tuple[str, bytes]]
    ) -> None:
        self.messages.append(value)
        self.headers = dict(headers)

    def totals(self) -> list[dict[str, int]]:
        return [published_in(message) or {} for message in self.messages]


class Counted:
    """Totals by type as they are merged."""

    def __init__(self) -> None:
        self.totals: dict[str, int] = {}
        self.changes = 0

    async def read(self, _check: object) -> dict[str, int]:
        return self.totals


def publisher(sent: Sent, version: bytes = b"1", counted: Counted | None = None) -> Publisher:
    app = SimpleNamespace(producer=SimpleNamespace(_producer=sent))
    by_type: Any = counted or Counted()
    return Publisher(app, by_type, "t", version)


async def publish(totals: Publisher, *known: Any) -> None:
    if news := totals.news(*known):
        await totals.send(news)


@pytest.mark.parametrize(
    ("counts", "published", "news"),
    [
        ({"CLICK": 1}, None, {"CLICK": 1}),
        ({}, None, None),
        ({"CLICK": 2}, {"CLICK": 1}, {"CLICK": 2}),
        ({"CLICK": 1, "VIEW": 1}, {"CLICK": 1}, {"CLICK": 1, "VIEW": 1}),
        ({"CLICK": 1}, {"CLICK": 1}, None),
        ({"CLICK": 1}, {"CLICK": 2}, None),
        ({"CLICK": 9, "VIEW": 1}, {"CLICK": 1, "VIEW": 2}, {"CLICK": 9, "VIEW": 2}),
        ({"CLICK": 9}, {"CLICK": 1, "VIEW": 2}, {"CLICK": 9, "VIEW": 2}),
        ({"CLICK": 1, "receiveAt": 3}, {"CLICK": 1}, None),
    ],
)
async def test_only_totals_that_grew_are_published(
    counts: dict[str, int], published: dict[str, int] | None, news: dict[str, int] | None
) -> None:
    sent = Sent()
    last = None if published is None else total_message(published, LATER)
    await publish(publisher(sent), counts, 0, last, {VERSION: b"1"} if published else {})
    assert sent.totals() == ([] if news is None else [news])


@pytest.mark.parametrize("junk", [b"junk", b"[1]", b'{"CLICK":"x","receiveAt":"2"}', b"", b"{}"])
async def test_a_record_of_somebody_else_stops_nothing_and_raises_nothing(junk: bytes) -> None:
    sent = Sent()
    totals, before = publisher(sent), passed_records("t")
    await publish(totals, {"CLICK": 5}, 0, junk, {})
    assert passed_records("t") == before + 1
    await publish(totals, {"CLICK": 6}, 1, b'{"CLICK":99,"receiveAt":"2020-02-27T00:06:38UTC"}', {})
    assert sent.totals() == [{"CLICK": 5}, {"CLICK": 6}]


@pytest.mark.parametrize("version", [None, b"", b"x", b"-1", b"9" * 5000])
def test_a_header_of_somebody_else_is_no_version(version: bytes | None) -> None:
    assert version_of({VERSION: version}) == 0
    assert version_of({VERSION: b"12", "other": version}) == 12


async def test_what_is_merged_while_the_topic_is_read_is_in_the_next_message() -> None:
    sent, counted = Sent(), Counted()
    totals = publisher(sent, counted=counted)
    counted.totals = {"CLICK": 1}
    await publish(totals, *await totals.counts(lambda: None), None, {})
    looked = await totals.counts(lambda: None)
    counted.totals, counted.changes = {"CLICK": 2}, 1  # meanwhile
    for seen in (looked, await totals.counts(lambda: None)):
        await publish(totals, *seen, sent.messages[-1], sent.headers)
    assert sent.totals() == [{"CLICK": 1}, {"CLICK": 2}]


async def test_after_a_rebuild_that_lowers_a_total_all_are_published_again() -> None:
    sent = Sent()
    last = total_message({"CLICK": 900, "VIEW": 3}, LATER)
    await publish(publisher(sent, version=b"2"), {"CLICK": 7}, 0, last, {VERSION: b"1"})
    assert sent.totals() == [{"CLICK": 7}]


async def test_more_types_than_a_message_holds_are_published_only_where_they_changed() -> None:
    sent = Sent()
    totals = publisher(sent)
    counts = {f"type_{number:06}": 1 + number % 50 for number in range(20_000)}
    await publish(totals, counts, 0, None, {})
    for changes in range(3):
        await publish(totals, counts, changes, sent.messages[-1], sent.headers)
    assert len(sent.messages) == 1
    counts["type_000001"] = 900
    await publish(totals, counts, 9, sent.messages[-1], sent.headers)
    assert len(sent.messages) == 2
    assert sent.totals()[-1]["type_000001"] == 900


async def test_the_tail_is_the_last_record_whoever_wrote_it(kafka: KafkaClient) -> None:
    topic = uuid.uuid4().hex
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.address)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()
    tail = TopicTail(KafkaClients(kafka.address), topic)
    assert await tail.read() is None
    for values in ([b"1"], [b"2", b"3"], [str(n).encode() for n in range(500)]):
        await kafka.send(topic, values)
        assert await tail.read() == values[-1]
        assert await tail.read() == values[-1]
    await tail.close()


async def test_rebuilt_tables_publish_once_they_hold_what_the_old_ones_counted(
    kafka: KafkaClient, settings: Settings, topics: Names
) -> None:
    ends = {partition: partition for partition in range(settings.events_partitions)}
    for partition, end in ends.items():
        await kafka.send(topics.events, [b"{}"] * end, partition)
    merged: dict[int, int] = {}
    reached = Reached(lambda _partition, asked: all_reached(merged, asked))
    succession = Succession(settings, 2, reached)
    assert await succession.is_due(0, {}), "nobody has published"
    assert await succession.is_due(0, {"tables-version": b"2"})
    assert not await succession.is_due(0, {"tables-version": b"3"}), "it is replaced"
    before = {"tables-version": b"1"}
    assert not await succession.is_due(0, before)
    merged |= {**ends, 3: 2}
    assert not await succession.is_due(0, before)
    merged[3] = 3
    assert await succession.is_due(0, before)


async def test_the_tail_says_that_kafka_is_away() -> None:
    tail = TopicTail(KafkaClients(f"127.0.0.1:{free_port()}"), "t")
    with pytest.raises(KafkaUnavailableError, match="no answer about t"):
        await tail.read()
    await tail.close()


def test_so_many_types_that_no_message_holds_them_leave_the_largest() -> None:
    counts = {"\N{SNOWMAN}" * 80 + str(number): number for number in range(50_000)}
    message = total_message(shown_in_message(counts), LATER)
    kept = json.loads(message)
    assert kept.pop("receiveAt") == "2020-02-27T00:06:38UTC"
    assert len(message) < 1_000_000
    assert min(kept.values()) == 50_000 - len(kept)


def test_a_message_lists_each_type_and_then_the_time() -> None:
    assert total_message({"view": 1, "a": 2}, LATER) == (
        b'{"a":2,"view":1,"receiveAt":"2020-02-27T00:06:38UTC"}'
    )
