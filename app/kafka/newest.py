"""The newest records of a topic as they come, read beside every consumer group.

Whoever looks on must not fall behind: what is too much is passed over, and counted.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from aiokafka import TopicPartition

from app.kafka.clients import KafkaClients, kafka_away

POLL_MS = 500
AT_ONCE = 500  # records of a poll: 2 ms to decode
BEHIND_MAX = 2000  # of a partition; what is older is passed over


class Newest:
    """The newest records of one topic, from now on."""

    def __init__(self, kafka: KafkaClients, topic: str, partitions: int) -> None:
        self._kafka = kafka
        self._parts = [TopicPartition(topic, number) for number in range(partitions)]

    async def read(self) -> AsyncGenerator[tuple[list[Any], int], None]:
        """Yield committed records as they come, and how many were passed over before them.

        Yields none where none came for a while. Raises KafkaUnavailableError.
        """
        consumer = self._kafka.consumer(
            auto_offset_reset="latest", isolation_level="read_committed"
        )
        try:
            with kafka_away():
                await consumer.start()
                consumer.assign(self._parts)
                await consumer.seek_to_end(*self._parts)
                while True:
                    found = await consumer.getmany(timeout_ms=POLL_MS, max_records=AT_ONCE)
                    records = [record for some in found.values() for record in some]
                    records.sort(key=lambda record: record.timestamp)
                    yield records, await self._pass_over(consumer)
        finally:
            await consumer.stop()

    async def _pass_over(self, consumer: Any) -> int:
        """Go on near the end where too much lies ahead; return how many records that leaves out."""
        passed = 0
        for part in self._parts:
            end, position = consumer.highwater(part), await consumer.position(part)
            if end is not None and end - position > BEHIND_MAX:
                consumer.seek(part, end - AT_ONCE)
                passed += end - AT_ONCE - position
        return passed
