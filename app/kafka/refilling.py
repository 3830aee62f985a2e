"""Topics of role count that became shorter: filled up, and what they lost sent again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiokafka import TopicPartition

from app.events.filler import again
from app.kafka.clients import KafkaClients, kafka_away
from app.kafka.mending import FilledGap, FillRecord, Groups, Mender, Padding
from app.kafka.padding import pad

FILLER: FillRecord = (b"\0\0lost", None)  # of `counts` and `uniques`: compacted away, and no row


class Refiller(Mender):
    """Fills up a topic that role count makes, by one offset more, so that its reader sees it."""

    beyond = 1

    async def _skip(self, found: FilledGap) -> None:
        """Leave the fillers: compaction takes them away."""


def refiller(kafka: KafkaClients, topic: str, partitions: int, group: str) -> Refiller:
    """Return what fills up a topic; group: of the count workers."""
    parts = [TopicPartition(topic, number) for number in range(partitions)]
    return Refiller(kafka, parts, Padding(lambda _: FILLER), Groups(kafka, topic, [group]))


def has_fillers(batch: Iterable[Any]) -> bool:
    """Return whether a batch of `counts` follows a loss."""
    return any(record.value is None and record.key == FILLER[0] for record in batch)


async def ask_again(kafka: KafkaClients, events: str, partitions: int) -> None:
    """Let all count workers send their rows again, each when it gets there in `events`.

    Raises KafkaUnavailableError.
    """
    with kafka_away():
        for partition in range(partitions):
            await pad(kafka, events, partition, 1, (None, again()))
