"""A small compacted topic of one partition as what it is: text by key, the last of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

from aiokafka import AIOKafkaProducer

from app.kafka.clients import KafkaClients, kafka_away
from app.kafka.log import KafkaLog
from app.kafka.strange import UNREADABLE, leave_out
from app.kafka.watermarks import Watermarks


class Remembered:
    """What a topic holds; raises KafkaUnavailableError.

    Use it as an async context manager, to write; to read alone, as it is.
    """

    def __init__(self, kafka: KafkaClients, topic: str) -> None:
        self._kafka, self._topic = kafka, topic

    async def __aenter__(self) -> Self:
        self._producer: AIOKafkaProducer = self._kafka.producer(acks="all", enable_idempotence=True)
        try:
            with kafka_away(f"Kafka at {self._kafka}"):
                await self._kafka.knock()
                await self._producer.start()
        except BaseException:
            await self._producer.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def read(
        self, prefix: str = "", check: Callable[[bytes], object] = bool
    ) -> dict[str, bytes]:
        """Return the values of the keys that begin so, by what is left of the key.

        check: raises one of strange.UNREADABLE at a value that is none of ours.
        """
        async with Watermarks(self._kafka) as kafka:
            end = (await kafka.ends(self._topic))[0]
        found: dict[str, bytes] = {}
        strange: list[tuple[Any, BaseException]] = []
        async for records, _ in KafkaLog(self._kafka).read(self._topic, 0, 0, end):
            for record in records:
                key = (record.key or b"").decode("utf-8", "replace")
                if not key.startswith(prefix):
                    continue
                if record.value is None:
                    found.pop(key.removeprefix(prefix), None)
                    continue
                try:
                    check(record.value)
                except UNREADABLE as exc:
                    strange.append((record, exc))
                else:
                    found[key.removeprefix(prefix)] = record.value
        leave_out(strange)
        return found

    async def write(self, values: Mapping[str, bytes | None], prefix: str = "") -> None:
        """Set values, in this order; None: forget the key. Done when Kafka has acknowledged all."""
        with kafka_away(f"{self._topic} was not written"):
            waiting = [
                await self._producer.send(self._topic, value, key=f"{prefix}{key}".encode())
                for key, value in values.items()
            ]
            for sent in waiting:
                await sent
