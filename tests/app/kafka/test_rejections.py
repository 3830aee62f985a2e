"""Which records of a replay are in events-rejected already."""

from __future__ import annotations

import time
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.produce import ProduceRequest

from app.errors import KafkaUnavailableError
from app.events.rejects import place_in, rejected_key
from app.kafka.rejections import Rejections
from app.names import Names
from app.settings import Settings
from tests.support.kafka_client import KafkaClient

MINUTE_MS = 60_000


async def test_only_what_was_rejected_before_the_generation_is_left_out(
    kafka: KafkaClient, settings: Settings, topics: Names
) -> None:
    now_ms = time.time_ns() // MINUTE_MS * MINUTE_MS // 1_000_000

    async def reject(partition: int, offset: int, at_ms: int = now_ms) -> None:
        key = rejected_key(topics.events, partition, offset)
        await kafka.send(topics.rejected, [b"{}"], key=key, timestamp_ms=at_ms)

    started = {TopicPartition(topics.events, 0): 5, TopicPartition(topics.counts, 1): 0}
    await reject(0, 8, now_ms - 10 * MINUTE_MS)
    await kafka.send(topics.rejected, [b"of somebody else"], key=b"a-b-c")
    for partition, offset in ((0, 4), (0, 7), (1, 9)):
        await reject(partition, offset)
    rejections = Rejections(settings)

    async def known(made_ms: int) -> list[tuple[int, int]]:
        places = [(p, o) for p in (0, 1) for o in range(12)]
        return [place for place in places if await rejections.has(*place, made_ms, started)]

    # Below 5 nothing is read again; partition 1 is somebody else's, and 8 is of long before.
    assert await known(now_ms) == [(0, 7)]
    await reject(0, 10)
    assert await known(now_ms) == [(0, 7)], "sent by this generation"
    assert await known(now_ms - 9 * MINUTE_MS) == [(0, 7), (0, 8), (0, 10)]
    rejections.forget()
    assert await known(now_ms) == [(0, 7), (0, 10)]
    assert await known(-1) == [(0, 7), (0, 8), (0, 10)]


@pytest.mark.parametrize("is_stored", [True, False])
async def test_a_record_whose_acknowledgement_is_lost_is_there_once(
    is_stored: bool,
    kafka: KafkaClient,
    settings: Settings,
    topics: Names,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As with a broker that dies behind or before what it was sent."""
    send, lost = AIOKafkaClient.send, list[Any]()

    async def lose_the_first(client: Any, node: int, request: Any, **kwargs: Any) -> Any:
        if not isinstance(request, ProduceRequest) or lost:
            return await send(client, node, request, **kwargs)
        lost.append(await send(client, node, request, **kwargs) if is_stored else None)
        raise KafkaConnectionError("it died")

    monkeypatch.setattr(AIOKafkaClient, "send", lose_the_first)
    rejections = Rejections(settings)
    try:
        for offset in (4, 5):
            key = rejected_key(topics.events, 0, offset)
            await rejections.send([(key, b"{}", [("timestamp", b"7")])])
    finally:
        await rejections.close()
    assert len(lost) == 1
    assert await kafka.values(topics.rejected) == [b"{}"] * 2


async def test_who_cannot_write_it_reads_it_anew(settings: Settings) -> None:
    away = Rejections(settings.model_copy(update={"kafka": "127.0.0.1:1"}))
    away._since, away._places = 0, {(0, 5)}
    with pytest.raises(KafkaUnavailableError, match="events-rejected cannot be written: "):
        await away.send([(rejected_key("events", 0, 5), b"{}", [])])
    assert away._since is None
    assert not away._places


def test_a_key_that_is_none_of_ours_is_no_place() -> None:
    assert place_in(rejected_key("a-b.events", 3, 17)) == (3, 17)
    for key in (None, b"", b"events-1", b"events--1-2x", "events-1-²".encode()):
        assert place_in(key) is None
