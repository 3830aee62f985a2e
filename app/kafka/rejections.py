"""The topic events-rejected, and what of a replay is in it already."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from app.events.rejects import place_in
from app.kafka.clients import KafkaClients, kafka_away
from app.kafka.log import KafkaLog
from app.kafka.sure_topic import SureRecord, SureTopic
from app.kafka.watermarks import Watermarks
from app.names import Names
from app.settings import Settings

# A record is rejected after it was made, by the clocks of two machines.
CLOCKS_MS = 60_000


class Rejections:
    """Knows which records of this generation were rejected before it began.

    The topic itself is the memory: nothing else is written with a rejected record, so nothing can
    disagree with it. It is read when a generation rejects its first record, from when that was
    made: nearly always some seconds.
    """

    def __init__(self, settings: Settings) -> None:
        names = Names(settings.namespace)
        self.topic, self._source = names.rejected, names.events
        self._kafka = KafkaClients.of(settings)
        self._way = SureTopic(self._kafka, self.topic)
        self._since: int | None = None  # ms since 1970
        self._places: set[tuple[int, int]] = set()

    def forget(self) -> None:
        """A new generation begins: somebody else may have rejected meanwhile."""
        self._since = None
        self._places = set()

    async def has(
        self, partition: int, offset: int, made_ms: int, started: Mapping[Any, int]
    ) -> bool:
        """Whether a record is in the topic; made_ms: its Kafka timestamp.

        started: where each partition began to be read in this generation. Raises
        KafkaUnavailableError.
        """
        begin = max(0, made_ms - CLOCKS_MS)
        if self._since is None or begin < self._since:
            if self._since is not None:  # times out of order must not mean to read it each time
                begin = max(0, min(begin, 2 * self._since - time.time_ns() // 1_000_000))
            self._places |= await self._read(begin, self._first(started))
            self._since = begin
        return (partition, offset) in self._places

    async def send(self, records: Sequence[SureRecord]) -> None:
        """Return once the topic has records, each once.

        Raises KafkaUnavailableError where that is not known: has() reads the topic anew then.
        """
        try:
            with kafka_away(f"{self.topic} cannot be written"):
                await self._way.send(0, records, time.time_ns() // 1_000_000)
        except BaseException:
            self.forget()
            raise

    async def close(self) -> None:
        """Disconnect."""
        await self._way.close()

    def _first(self, started: Mapping[Any, int]) -> dict[int, int]:
        return {tp.partition: at for tp, at in started.items() if tp.topic == self._source}

    async def _read(self, since_ms: int, first: Mapping[int, int]) -> set[tuple[int, int]]:
        """Return the records that may come again and were rejected since."""
        async with Watermarks(self._kafka) as kafka:
            begin = (await kafka.since(self.topic, since_ms))[0]
            end = (await kafka.ends(self.topic))[0]
        found = set()
        async for records, _ in KafkaLog(self._kafka).read(self.topic, 0, begin, end):
            for record in records:
                place = place_in(record.key)
                if place is not None and place[1] >= first.get(place[0], place[1] + 1):
                    found.add(place)
        return found
