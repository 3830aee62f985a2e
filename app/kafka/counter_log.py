"""The topic `counter-decisions`: what all count workers agreed on about declared counters.

A log of one partition that is never compacted: the order of its records decides.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from app import metrics
from app.counting.registry import Decision, Registry, encode_decision
from app.errors import KafkaUnavailableError, reason
from app.kafka.clients import KafkaClients
from app.names import Names
from app.settings import Settings

TIMEOUT_MS = 2000  # for records that are known to be there

log = logging.getLogger(__name__)


class CounterLog:
    """Reads on where it ended, and appends; close() it at the end. For one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._kafka = KafkaClients.of(settings)
        self._part = TopicPartition(Names(settings.namespace).decisions, 0)
        self._consumer: AIOKafkaConsumer | None = None
        self._producer: AIOKafkaProducer | None = None
        self._lock = asyncio.Lock()
        self._end = 0
        self.registry = Registry()

    async def read(self) -> Registry:
        """Return all decisions by now; the same object each time. Raise KafkaUnavailableError."""
        async with self._lock:
            try:
                consumer = await self._connected()
                end = (await consumer.end_offsets([self._part]))[self._part]
                if self._end < end:
                    await self._read_to(consumer, end)
            except (KafkaError, OSError) as exc:
                raise self._away(exc) from exc
        return self.registry

    async def append(self, decisions: Sequence[Decision]) -> Registry:
        """Add decisions and return what holds now: one that came too late does not.

        Raises KafkaUnavailableError; they may be taken all the same.
        """
        try:
            if self._producer is None:
                producer = self._kafka.producer(acks="all")
                await producer.start()
                self._producer = producer
            sent = [
                await self._producer.send(
                    self._part.topic, encode_decision(decision), partition=self._part.partition
                )
                for decision in decisions
            ]
            await asyncio.gather(*sent)
        except (KafkaError, OSError) as exc:
            raise self._away(exc) from exc
        return await self.read()

    async def close(self) -> None:
        """Disconnect."""
        consumer, self._consumer = self._consumer, None
        producer, self._producer = self._producer, None
        if consumer is not None:
            await consumer.stop()
        if producer is not None:
            await producer.stop()

    async def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            self._consumer = await self._kafka.paused([self._part], auto_offset_reset="earliest")
        return self._consumer

    async def _read_to(self, consumer: AIOKafkaConsumer, end: int) -> None:
        consumer.seek(self._part, self._end)
        consumer.resume(self._part)
        try:
            while self._end < end:
                found = await consumer.getmany(self._part, timeout_ms=TIMEOUT_MS)
                if not (records := found.get(self._part)):
                    raise KafkaUnavailableError(f"{self._part.topic} did not give its records")
                for record in records:
                    if not self.registry.apply(record.value):
                        metrics.records_unreadable.labels(self._part.topic).inc()
                        log.error("%s: %d is no decision", self._part.topic, record.offset)
                self._end = records[-1].offset + 1
        finally:
            consumer.pause(self._part)

    def _away(self, exc: BaseException) -> KafkaUnavailableError:
        return KafkaUnavailableError(f"no answer about {self._part.topic}: {reason(exc)}")
