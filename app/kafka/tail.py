"""The last record of a topic, read beside every consumer group."""

from __future__ import annotations

from typing import Any

from aiokafka import TopicPartition

from app.errors import KafkaUnavailableError
from app.kafka.clients import KafkaClients, kafka_away
from app.kafka.reader import PartitionReader

TIMEOUT_MS = 2000  # for a record that is known to be there


class TopicTail:
    """The end of a topic of one partition; costs one small request while nobody writes.

    end: offset behind the last record, as of the last read().
    """

    def __init__(self, kafka: KafkaClients, topic: str) -> None:
        self._part = TopicPartition(topic, 0)
        self._reader = PartitionReader(kafka, [self._part])
        self.end = 0
        self._last: bytes | None = None
        self.key: bytes | None = None  # of the last record that read() returned
        self.headers: dict[str, bytes] = {}

    async def read(self) -> bytes | None:
        """Return the value of the last record, None where there is none.

        Raises KafkaUnavailableError.
        """
        with kafka_away(f"no answer about {self._part.topic}"):
            end = (await self._reader.ends())[self._part]
            if end != self.end:
                await self._read_last(end)
                self.end = end
        return self._last

    async def close(self) -> None:
        """Disconnect."""
        await self._reader.close()

    async def _read_last(self, end: int) -> None:
        if (await self._reader.begins())[self._part] == end:
            self._last, self.key, self.headers = None, None, {}
            return
        found = self._reader.read(self._part, end - 1, end, silence_ms=TIMEOUT_MS)
        records: list[Any] = [record async for some, _ in found for record in some]
        if not records:
            raise KafkaUnavailableError(f"{self._part.topic} did not give its last record")
        last = records[-1]
        self._last, self.key, self.headers = last.value or b"", last.key, dict(last.headers)
