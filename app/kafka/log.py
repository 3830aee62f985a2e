"""Records of a range of offsets, read beside the consumer group."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from aiokafka import TopicPartition

from app.events.records import Batch
from app.kafka.clients import KafkaClients, kafka_away
from app.kafka.reader import PartitionReader

SILENCE_MS = 10_000  # without any progress; then Kafka counts as away
ONE_MS = 1000  # for a single record
BATCH_RECORDS = 20_000
NO_GENERATION = -1  # those of the transport begin at 1


class KafkaLog:
    """The logs of one Kafka cluster."""

    def __init__(self, kafka: KafkaClients) -> None:
        self._kafka = kafka
        self._cluster: str | None = None

    async def cluster(self) -> str:
        """Return the id that the cluster got when it was made; raise KafkaUnavailableError."""
        if self._cluster is None:
            admin = self._kafka.admin()
            try:
                with kafka_away():
                    await admin.start()
                    self._cluster = str((await admin.describe_cluster())["cluster_id"] or "")
            finally:
                await admin.close()
        return self._cluster

    async def read(
        self, topic: str, partition: int, begin: int, end: int
    ) -> AsyncGenerator[tuple[Batch, int], None]:
        """Yield the committed records of [begin, end) as (batch, how many offsets are deleted).

        The batches join up from begin to end; what the log does not have is in none. Raises
        KafkaUnavailableError.
        """
        part = TopicPartition(topic, partition)
        with kafka_away():
            async with self._reader(part) as reader:
                at = min(max(begin, (await reader.begins())[part]), end)
                yield _batch([], begin, at), at - begin
                found = reader.read(part, at, end, silence_ms=SILENCE_MS, most=BATCH_RECORDS)
                async with aclosing(found):
                    async for records, after in found:
                        yield _batch(records, at, after), 0
                        at = after

    async def at(self, topic: str, partition: int, offset: int) -> tuple[Any | None, bool]:
        """Return the record at an offset, None where there is none, and whether it may be deleted.

        Transaction markers, and what is not committed yet, are no records. Raises
        KafkaUnavailableError.
        """
        part = TopicPartition(topic, partition)
        with kafka_away():
            async with self._reader(part) as reader:
                first, end = (await reader.begins())[part], (await reader.ends())[part]
                if not first <= offset < end:
                    return None, offset < first
                found = reader.read(part, offset, offset + 1, silence_ms=ONE_MS, most=1)
                records = [record async for some, _ in found for record in some]
        return (records[0] if records else None), False

    def _reader(self, part: TopicPartition) -> PartitionReader:
        return PartitionReader(
            self._kafka,
            [part],
            auto_offset_reset="none",  # deleted meanwhile: an error, and a new attempt
            isolation_level="read_committed",
        )


def _batch(records: list[Any], before: int, after: int) -> Batch:
    batch = Batch(records)
    batch.before, batch.after, batch.gate = before, after, NO_GENERATION
    return batch
