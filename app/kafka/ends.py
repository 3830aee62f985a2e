"""The newest records of topics, read beside every consumer group over one connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from app.errors import UnavailableError, reason
from app.kafka.clients import KafkaClients
from app.kafka.reader import PartitionReader

ANSWER_S = 4.0  # for one answer, with the wait for others that ask
REQUEST_MS = 2500
SILENCE_MS = 4000  # as ANSWER_S, which ends it before
ANSWER_MAX_BYTES = 4_000_000  # of values; a rejected record may have 32 KB


class TopicEnds:
    """Topics by name, with their partitions; costs a small request while nobody writes."""

    def __init__(self, kafka: KafkaClients, topics: Mapping[str, int]) -> None:
        self._parts = {
            topic: [TopicPartition(topic, number) for number in range(count)]
            for topic, count in topics.items()
        }
        self._reader = PartitionReader(
            kafka,
            [part for parts in self._parts.values() for part in parts],
            auto_offset_reset="none",  # deleted meanwhile: an error, and a new attempt
            request_timeout_ms=REQUEST_MS,
        )
        self._lock = asyncio.Lock()
        self._known: dict[str, tuple[dict[TopicPartition, int], int, list[Any]]] = {}

    async def newest(self, topic: str, limit: int) -> list[Any]:
        """Return up to limit aiokafka records, newest first by their Kafka timestamp.

        Fewer where their values would have more than ANSWER_MAX_BYTES together. Raises
        UnavailableError.
        """
        try:
            async with asyncio.timeout(ANSWER_S), self._lock:
                return await self._newest(topic, limit)
        except (KafkaError, OSError) as exc:  # TimeoutError is an OSError
            raise UnavailableError(f"Kafka does not answer about {topic}: {reason(exc)}") from exc

    async def close(self) -> None:
        """Disconnect; the next call connects again."""
        with contextlib.suppress(KafkaError, OSError):
            await self._reader.close()

    async def _newest(self, topic: str, limit: int) -> list[Any]:
        parts = self._parts[topic]
        try:
            ends = await self._reader.ends(parts)
            known_ends, known_limit, records = self._known.get(topic, ({}, 0, []))
            if ends != known_ends or limit > known_limit:
                firsts = await self._reader.begins(parts)
                begins = {part: max(firsts[part], ends[part] - limit) for part in parts}
                found = [await self._read(p, begins[p], ends[p]) for p in parts]
                records = _merged(found, limit)
                self._known[topic] = ends, limit, records
        except BaseException:  # cancelled too: its partitions may be left flowing
            await self.close()
            raise
        return records[:limit]

    async def _read(self, part: TopicPartition, begin: int, end: int) -> deque[Any]:
        """Return the last records of [begin, end) that fit into an answer, oldest first."""
        kept: deque[Any] = deque()
        size = 0
        async for records, _ in self._reader.read(part, begin, end, silence_ms=SILENCE_MS):
            for record in records:
                kept.append(record)
                size += len(record.value or b"")
            while size > ANSWER_MAX_BYTES and len(kept) > 1:
                size -= len(kept.popleft().value or b"")
        return kept


def _merged(found: list[deque[Any]], limit: int) -> list[Any]:
    """Return the newest records of all partitions that fit into an answer, newest first."""
    every = sorted(
        (record for records in found for record in records),
        key=lambda record: (record.timestamp, record.partition, record.offset),
        reverse=True,
    )
    size, fitting = 0, 0
    for record in every[:limit]:
        size += len(record.value or b"")
        if size > ANSWER_MAX_BYTES and fitting:
            break
        fitting += 1
    return every[:fitting]
