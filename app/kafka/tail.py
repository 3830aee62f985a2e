"""The last record of a topic, read beside every consumer group."""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from app.errors import KafkaUnavailableError, reason
from app.kafka.clients import KafkaClients

TIMEOUT_MS = 2000  # for a record that is known to be there


class TopicTail:
    """The end of a topic of one partition; costs one small request while nobody writes.

    end: offset behind the last record, as of the last read().
    """

    def __init__(self, kafka: KafkaClients, topic: str) -> None:
        self._kafka = kafka
        self._part = TopicPartition(topic, 0)
        self._consumer: AIOKafkaConsumer | None = None
        self.end = 0
        self._last: bytes | None = None
        self.key: bytes | None = None  # of the last record that read() returned
        self.headers: dict[str, bytes] = {}

    async def read(self) -> bytes | None:
        """Return the value of the last record, None where there is none.

        Raises KafkaUnavailableError.
        """
        try:
            consumer = await self._connected()
            end = (await consumer.end_offsets([self._part]))[self._part]
            if end != self.end:
                self._last = await self._record(consumer, end)
                self.end = end
        except (KafkaError, OSError) as exc:
            raise KafkaUnavailableError(
                f"no answer about {self._part.topic}: {reason(exc)}"
            ) from exc
        return self._last

    async def close(self) -> None:
        """Disconnect."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            self._consumer = await self._kafka.paused([self._part])
        return self._consumer

    async def _record(self, consumer: AIOKafkaConsumer, end: int) -> bytes | None:
        first = (await consumer.beginning_offsets([self._part]))[self._part]
        if first == end:
            self.key, self.headers = None, {}
            return None
        consumer.seek(self._part, end - 1)
        consumer.resume(self._part)
        try:
            found = await consumer.getmany(self._part, timeout_ms=TIMEOUT_MS)
        finally:
            consumer.pause(self._part)
        records = found.get(self._part)
        if not records:
            raise KafkaUnavailableError(f"{self._part.topic} did not give its last record")
        self.key, self.headers = records[-1].key, dict(records[-1].headers)
        return records[-1].value or b""
