"""What goes to unique-event-topic, and what does not."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from agents.publish_totals import is_news, total_message
from app.errors import KafkaUnavailableError
from app.kafka.clients import KafkaClients
from app.kafka.tail import TopicTail
from app.stack.ports import free_port
from tests.support.kafka_client import KafkaClient

LATER = datetime(2020, 2, 27, 0, 6, 38, tzinfo=UTC)


@pytest.mark.parametrize(
    ("counts", "published", "news"),
    [
        ({"CLICK": 1}, None, True),
        ({}, None, False),
        ({"CLICK": 2}, {"CLICK": 1}, True),
        ({"CLICK": 1, "VIEW": 1}, {"CLICK": 1}, True),
        ({"CLICK": 1}, {"CLICK": 1}, False),
        ({"CLICK": 1}, {"CLICK": 2}, False),
        ({"CLICK": 9, "VIEW": 1}, {"CLICK": 1, "VIEW": 2}, False),
        ({"CLICK": 9}, {"CLICK": 1, "VIEW": 2}, False),
        ({"CLICK": 1, "receiveAt": 3}, {"CLICK": 1}, False),
    ],
)
def test_only_totals_that_grew_are_published(
    counts: dict[str, int], published: dict[str, int] | None, news: bool
) -> None:
    last = None if published is None else total_message(published, LATER)
    assert is_news(counts, last) is news


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


async def test_the_tail_says_that_kafka_is_away() -> None:
    tail = TopicTail(KafkaClients(f"127.0.0.1:{free_port()}"), "t")
    with pytest.raises(KafkaUnavailableError, match="no answer about t"):
        await tail.read()
    await tail.close()


def test_so_many_types_that_no_message_holds_them_leave_the_largest() -> None:
    counts = {"\N{SNOWMAN}" * 80 + str(number): number for number in range(50_000)}
    message = total_message(counts, LATER)
    kept = json.loads(message)
    assert kept.pop("receiveAt") == "2020-02-27T00:06:38UTC"
    assert len(message) < 1_000_000
    assert min(kept.values()) == 50_000 - len(kept)


def test_a_message_lists_each_type() -> None:
    assert total_message({"b": 1, "a": 2}, LATER) == (
        b'{"a":2,"b":1,"receiveAt":"2020-02-27T00:06:38UTC"}'
    )
