"""The one way to read records beside the consumer group: ranges of offsets of known partitions."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition

from app.errors import KafkaUnavailableError
from app.kafka.clients import KafkaClients, started

PartOffsets = dict[TopicPartition, int]


class PartitionReader:
    """Reads partitions over one connection, and costs nothing in between.

    Connects at the first question, and anew after close(). All methods raise KafkaError or
    OSError: who calls says what that means. One question at a time.
    """

    def __init__(
        self, kafka: KafkaClients, parts: Sequence[TopicPartition], **options: Any
    ) -> None:
        """options: of the consumer."""
        self._kafka, self._parts, self._options = kafka, list(parts), options
        self._consumer: AIOKafkaConsumer | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Disconnect."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def begins(self, parts: Sequence[TopicPartition] | None = None) -> PartOffsets:
        """Return the first offset of each partition; parts: some of ours, all if left out."""
        consumer = await self._connected()
        found: PartOffsets = await consumer.beginning_offsets(parts or self._parts)
        return found

    async def ends(self, parts: Sequence[TopicPartition] | None = None) -> PartOffsets:
        """Return the offset behind the last record of each partition."""
        consumer = await self._connected()
        found: PartOffsets = await consumer.end_offsets(parts or self._parts)
        return found

    async def since(self, moments_ms: Mapping[TopicPartition, int]) -> PartOffsets:
        """Return the first offset of each that is not older than ms since 1970, if it has one."""
        if not moments_ms:
            return {}
        found = await (await self._connected()).offsets_for_times(dict(moments_ms))
        return {part: at.offset for part, at in found.items() if at is not None}

    async def read(
        self,
        part: TopicPartition,
        begin: int,
        end: int,
        *,
        silence_ms: int,
        most: int | None = None,
    ) -> AsyncGenerator[tuple[list[Any], int], None]:
        """Yield the records of [begin, end) as (aiokafka records, offset behind them).

        What the log does not have is in none: markers, and what compaction took. most: records at
        a time. Raises KafkaUnavailableError where nothing comes for silence_ms. Leave it by
        reading to its end, or close() the reader.
        """
        consumer = await self._connected()
        consumer.seek(part, begin)
        consumer.resume(part)
        try:
            at = begin
            while at < end:
                found = await consumer.getmany(part, timeout_ms=silence_ms, max_records=most)
                after = min(await consumer.position(part), end)
                if after == at:
                    raise KafkaUnavailableError(
                        f"{part.topic}-{part.partition} did not give its records from {at}"
                    )
                yield [record for record in found.get(part, ()) if record.offset < end], after
                at = after
        finally:
            consumer.pause(part)

    async def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = await started(self._kafka.consumer(**self._options))
            consumer.assign(self._parts)
            consumer.pause(*self._parts)  # nothing is fetched until it is asked for
            self._consumer = consumer
        return self._consumer
