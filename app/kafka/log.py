"""Records of a range of offsets, read beside the consumer group."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from app.errors import KafkaUnavailableError, reason
from app.kafka.clients import KafkaClients
from app.transport.batch import Batch

SILENCE_S = 10.0  # without any progress; then Kafka counts as away
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
            async with _away():
                try:
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
        async with _away(), self._consumer() as consumer:
            consumer.assign([part])
            first = (await consumer.beginning_offsets([part]))[part]
            at = min(max(begin, first), end)
            consumer.seek(part, at)
            yield _batch([], begin, at), at - begin
            while at < end:
                found = await consumer.getmany(
                    part, timeout_ms=int(SILENCE_S * 1000), max_records=BATCH_RECORDS
                )
                after = min(await consumer.position(part), end)
                if after == at:
                    raise KafkaUnavailableError(f"no records of {topic}-{partition} from {at}")
                records = [record for record in found.get(part, ()) if record.offset < end]
                yield _batch(records, at, after), 0
                at = after

    async def at(self, topic: str, partition: int, offset: int) -> tuple[Any | None, bool]:
        """Return the record at an offset, None where there is none, and whether it may be deleted.

        Transaction markers, and what is not committed yet, are no records. Raises
        KafkaUnavailableError.
        """
        part = TopicPartition(topic, partition)
        async with _away(), self._consumer() as consumer:
            consumer.assign([part])
            first = (await consumer.beginning_offsets([part]))[part]
            end = (await consumer.end_offsets([part]))[part]
            if not first <= offset < end:
                return None, offset < first
            consumer.seek(part, offset)
            while (position := await consumer.position(part)) <= offset:
                found = await consumer.getmany(part, timeout_ms=ONE_MS, max_records=1)
                for record in found.get(part, ()):
                    return (record if record.offset == offset else None), False
                if await consumer.position(part) == position:
                    raise KafkaUnavailableError(f"no record of {topic}-{partition} at {offset}")
        return None, False

    @asynccontextmanager
    async def _consumer(self) -> AsyncIterator[Any]:
        consumer = self._kafka.consumer(
            auto_offset_reset="none",  # deleted meanwhile: an error, and a new attempt
            isolation_level="read_committed",
        )
        try:
            await consumer.start()
            yield consumer
        finally:
            await consumer.stop()


def _batch(records: list[Any], before: int, after: int) -> Batch:
    batch = Batch(records)
    batch.before, batch.after, batch.gate = before, after, NO_GENERATION
    return batch


@asynccontextmanager
async def _away() -> AsyncIterator[None]:
    try:
        yield
    except (KafkaError, OSError) as exc:
        raise KafkaUnavailableError(f"Kafka is away: {reason(exc)}") from exc
