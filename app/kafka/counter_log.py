"""The topic `counter-decisions`: what all count workers agreed on about declared counters.

A log of one partition that is never compacted: the order of its records decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager

from aiokafka import AIOKafkaProducer, TopicPartition

from app.counting.registry import Begin, Decision, Registry, encode_decision
from app.kafka.clients import KafkaClients, kafka_away, started
from app.kafka.reader import PartitionReader
from app.kafka.strange import leave_out
from app.kafka.watermarks import Offsets, Watermarks
from app.names import Names
from app.settings import Settings

TIMEOUT_MS = 2000  # for records that are known to be there

NO_DECISION = ValueError("no decision")


class CounterLog:
    """Reads on where it ended, and appends; close() it at the end. For one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._kafka = KafkaClients.of(settings)
        self._part = TopicPartition(Names(settings.namespace).decisions, 0)
        self._reader = PartitionReader(self._kafka, [self._part], auto_offset_reset="earliest")
        self._producer: AIOKafkaProducer | None = None
        self._lock = asyncio.Lock()
        self._end = 0
        self.registry = Registry()

    async def read(self) -> Registry:
        """Return all decisions by now; the same object each time. Raise KafkaUnavailableError."""
        async with self._lock:
            with self._away():
                end = (await self._reader.ends())[self._part]
                await self._read_to(end)
        return self.registry

    async def append(self, decisions: Sequence[Decision]) -> Registry:
        """Add decisions and return what holds now: one that came too late does not.

        Raises KafkaUnavailableError; they may be taken all the same.
        """
        with self._away():
            producer = await self._started()
            sent = [
                await producer.send(
                    self._part.topic, encode_decision(decision), partition=self._part.partition
                )
                for decision in decisions
            ]
            await asyncio.gather(*sent)
        return await self.read()

    async def close(self) -> None:
        """Disconnect."""
        producer, self._producer = self._producer, None
        await self._reader.close()
        if producer is not None:
            await producer.stop()

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            self._producer = await started(self._kafka.producer(acks="all"))
        return self._producer

    async def _read_to(self, end: int) -> None:
        found = self._reader.read(self._part, self._end, end, silence_ms=TIMEOUT_MS)
        async for records, after in found:
            apply = self.registry.apply
            leave_out([(one, NO_DECISION) for one in records if not apply(one.value)])
            self._end = after

    def _away(self) -> AbstractContextManager[None]:
        return kafka_away(f"no answer about {self._part.topic}")


async def decide(settings: Settings, *made: Decision) -> Registry:
    """Add decisions and return what holds now; raise KafkaUnavailableError."""
    decisions = CounterLog(settings)
    try:
        return await decisions.append(made)
    finally:
        await decisions.close()


async def begin_missing(settings: Settings, version: int, positions: Offsets) -> None:
    """Let all counters begin that have not yet, for tables of a version.

    positions: where, by partition of `events`. Raises KafkaUnavailableError.
    """
    registry = await decided(settings)
    numbers = registry.numbers()
    missing = [
        Begin(number, partition, position)
        for partition, position in positions.items()
        for number in sorted(numbers - registry.began(partition, version).keys())
    ]
    if missing:
        await decide(settings, *missing)


async def decided(settings: Settings) -> Registry:
    """Return what is decided by now; raise KafkaUnavailableError."""
    async with Watermarks(KafkaClients.of(settings)) as kafka:
        if not await has_log(kafka, settings):
            return Registry()
    decisions = CounterLog(settings)
    try:
        return await decisions.read()
    finally:
        await decisions.close()


async def has_log(kafka: Watermarks, settings: Settings) -> bool:
    """Return whether anything can be decided: the topic is there."""
    return await kafka.has(Names(settings.namespace).decisions)
