"""How far topics and consumer groups are, asked again and again over the same connections."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from app.errors import UnavailableError, reason
from app.kafka.clients import KafkaClients
from app.kafka.groups import committed
from app.kafka.reader import PartOffsets

ANSWER_S = 3.0  # for all that one snapshot asks
REQUEST_MS = 2500  # for one request of it


@dataclass(frozen=True)
class KafkaSnapshot:
    """Kafka at one moment.

    ends: offset behind the last record by partition. done: {group: {partition: offset that it
    goes on from}}; where a group has committed nothing, the oldest record there was at first sight.
    """

    ends: PartOffsets
    done: Mapping[str, PartOffsets]


class KafkaOffsets:
    """Asks about some partitions and groups; connects when it is asked, and anew after a failure.

    topics: by name, how many partitions. read_by: {group: topics that it reads}.
    """

    def __init__(
        self, kafka: KafkaClients, topics: Mapping[str, int], read_by: Mapping[str, Sequence[str]]
    ) -> None:
        self._kafka = kafka
        self._parts = {
            topic: [TopicPartition(topic, number) for number in range(count)]
            for topic, count in topics.items()
        }
        self._read_by = read_by
        self._consumer: AIOKafkaConsumer | None = None
        self._admin: AIOKafkaAdminClient | None = None
        self._origin: PartOffsets = {}

    async def snapshot(self) -> KafkaSnapshot:
        """Return where everything is now; raise UnavailableError where Kafka does not say it."""
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._snapshot()
        except (KafkaError, OSError) as exc:  # TimeoutError is an OSError
            await self.close()
            raise UnavailableError(f"Kafka does not answer: {reason(exc)}") from exc
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Disconnect; the next snapshot connects again."""
        admin, consumer = self._admin, self._consumer
        self._admin = self._consumer = None
        with contextlib.suppress(KafkaError, OSError):
            if admin is not None:
                await admin.close()
        with contextlib.suppress(KafkaError, OSError):
            if consumer is not None:
                await consumer.stop()

    async def _snapshot(self) -> KafkaSnapshot:
        consumer = await self._connected()
        done_by = {group: await committed(self._admin, group) for group in self._read_by}
        wanted = {
            group: [part for topic in topics for part in self._parts[topic]]
            for group, topics in self._read_by.items()
        }
        never = {p for group, parts in wanted.items() for p in parts if p not in done_by[group]}
        await self._find_origins(consumer, never)
        # The ends last: nobody has committed more than there is.
        ends = await consumer.end_offsets([p for parts in self._parts.values() for p in parts])
        done = {
            group: {part: done_by[group].get(part, self._origin.get(part, 0)) for part in parts}
            for group, parts in wanted.items()
        }
        return KafkaSnapshot(ends, done)

    async def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            self._admin = self._kafka.admin(request_timeout_ms=REQUEST_MS)
            self._consumer = self._kafka.consumer(request_timeout_ms=REQUEST_MS)
            await self._admin.start()
            await self._consumer.start()
        return self._consumer

    async def _find_origins(
        self, consumer: AIOKafkaConsumer, parts: Collection[TopicPartition]
    ) -> None:
        """Learn where the parts begin, once: retention moving on is no progress of a reader."""
        if missing := [part for part in parts if part not in self._origin]:
            self._origin |= await consumer.beginning_offsets(missing)
