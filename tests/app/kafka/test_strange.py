"""What others write to our topics: passed, counted and named by each of their readers."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from app.events.filler import filler, losses_of
from app.events.rejects import place_in, time_in
from app.ingest.log_file import LogPlace
from app.kafka.clients import KafkaClients
from app.kafka.copies import TopicCopier
from app.kafka.counter_log import decided
from app.kafka.remembered import Remembered
from app.kafka.watermarks import Watermarks
from app.names import Names
from app.reconcile.audit import places_in
from app.settings import Settings
from tests.app.kafka.test_mending import placed
from tests.support.kafka_client import KafkaClient
from tests.support.metrics import passed_records

STRANGE = [None, b"", b"\xff", b"null", b"[]", b"{}", b"7", b"[" * 900, msgspec.msgpack.encode({})]
MANY_DIGITS = b"9" * 5000  # int() refuses them


async def write(kafka: KafkaClient, topic: str, key: bytes | None) -> None:
    for value in STRANGE:
        await kafka.send_as_it_is(topic, 0, (key, value), [])


async def test_what_is_remembered_is_what_was_remembered_last(
    kafka: KafkaClient, settings: Settings, topics: Names
) -> None:
    check, place = msgspec.json.Decoder(LogPlace).decode, msgspec.json.encode(LogPlace("a", 3))
    async with Remembered(KafkaClients.of(settings), topics.places) as remembered:
        await write(kafka, topics.places, b"\xff")
        await remembered.write({"a": place, "b": place}, "log\n")
        for value in filter(None, STRANGE):
            await kafka.send_as_it_is(topics.places, 0, (b"log\na", value), [])
        before = passed_records(topics.places)
        assert await remembered.read("log\n", check) == {"a": place, "b": place}
    assert passed_records(topics.places) - before == len([*filter(None, STRANGE)])


async def test_decisions_are_read_past_them(
    kafka: KafkaClient, settings: Settings, topics: Names
) -> None:
    await write(kafka, topics.decisions, None)
    await kafka.send(topics.decisions, [b'{"op":"limit","number":4,"most":9}'])
    await write(kafka, topics.decisions, b"")
    before = passed_records(topics.decisions)
    assert (await decided(settings)).limit(4) == 9
    assert passed_records(topics.decisions) - before == 2 * len(STRANGE)


async def test_an_audit_leaves_them_out_of_what_was_rejected(
    kafka: KafkaClient, topics: Names
) -> None:
    await write(kafka, topics.rejected, None)
    far = b'{"partition":0,"offset":9223372036854775808}'
    await kafka.send(topics.rejected, [b'{"partition":1,"offset":7,"code":"x"}', far])
    before = passed_records(topics.rejected)
    assert places_in(await kafka.read(topics.rejected)) == [(1, 7)]
    assert passed_records(topics.rejected) - before == len(STRANGE) + 1


async def test_a_copy_of_a_topic_has_them_all(
    kafka: KafkaClient, settings: Settings, topics: Names, tmp_path: Path
) -> None:
    file = tmp_path / "alerts.gz"
    await kafka.send_as_it_is(topics.alerts, 0, (None, b"x"), [("a", None)])
    await write(kafka, topics.alerts, b"k")
    clients = KafkaClients.of(settings)
    async with Watermarks(clients) as marks:
        copier = TopicCopier(clients, marks)
        await copier.save(topics.alerts, file)
        await copier.send(topics.alerts, file)
    found = [(r.key, r.value, r.headers) for r in await kafka.read(topics.alerts)]
    assert len(found) == 2 * (len(STRANGE) + 1)
    assert found[: len(found) // 2] == found[len(found) // 2 :]


@pytest.mark.parametrize("value", [None, b"", b"-1", b"x", "\u00b2".encode(), MANY_DIGITS])
def test_a_header_that_is_no_time_gives_none(value: bytes | None) -> None:
    assert time_in([("timestamp", value)], 5) == 5
    assert time_in([("timestamp", b"7"), ("other", value)], 5) == 7


def test_a_number_of_too_many_digits_is_none() -> None:
    assert place_in(b"events-1-" + MANY_DIGITS) is None
    value = filler(3).replace(b"3", MANY_DIGITS)
    assert losses_of(placed(10, (1, value)), 9, 0).lost == 0
