"""Which version of the tables counts: a number in a topic, that `rebuild tables` raises.

The name of the count group, of its changelogs, of `counts` and of `uniques` ends with it (not with
the first one), as Faust does for the `version` of an app.
"""

from __future__ import annotations

import logging

from app import metrics
from app.kafka.clients import KafkaClients, kafka_away
from app.kafka.log import KafkaLog
from app.kafka.tail import TopicTail
from app.kafka.watermarks import Watermarks
from app.names import Names
from app.settings import Settings
from app.text import number_in

FIRST = 1
PARTITIONS_MAX = 1000  # as in the settings
KEY = b"version"  # the topic is compacted
DIGITS_MAX = 9

log = logging.getLogger(__name__)


class TablesVersion:
    """Reads the number again and again; close() it at the end."""

    def __init__(self, settings: Settings) -> None:
        kafka, self._topic = KafkaClients.of(settings), Names(settings.namespace).tables_version
        self._tail, self._log = TopicTail(kafka, self._topic), KafkaLog(kafka)
        self._searched = 0, FIRST  # up to where, and what was found

    async def read(self) -> int:
        """Return the version that counts; raise KafkaUnavailableError.

        A record that is no version, by whomever, changes nothing.
        """
        last = await self._tail.read()
        if last is None:
            return FIRST
        if (found := version_in(self._tail.key, last)) is not None:
            return found
        if self._searched[0] != self._tail.end:
            self._searched = self._tail.end, await self._search(self._tail.end)
        return self._searched[1]

    async def _search(self, end: int) -> int:
        """Return the last version in the topic, which is small."""
        found = FIRST
        async for records, _ in self._log.read(self._topic, 0, 0, end):
            for record in records:
                if (version := version_in(record.key, record.value)) is not None:
                    found = version
        log.error("%s: its last record is not a version; %d counts", self._topic, found)
        metrics.records_unreadable.labels(self._topic).inc()
        return found

    async def close(self) -> None:
        """Disconnect."""
        await self._tail.close()


def version_in(key: bytes | None, value: bytes | None) -> int | None:
    """Return the number in a record; None: it is none of ours."""
    return (number_in(value, DIGITS_MAX) or None) if key == KEY else None


async def current_version(settings: Settings) -> int:
    """Return the version that counts now; raise KafkaUnavailableError."""
    async with Watermarks(KafkaClients.of(settings)) as kafka:
        return await version_on(kafka, settings)


async def version_on(kafka: Watermarks, settings: Settings) -> int:
    """Return the version that counts now, asked over a connection that is open."""
    if not await kafka.has(Names(settings.namespace).tables_version):
        return FIRST  # nothing was ever rebuilt
    version = TablesVersion(settings)
    try:
        return await version.read()
    finally:
        await version.close()


async def switch_version(settings: Settings, version: int) -> None:
    """Let a version count from now on; raise KafkaUnavailableError, then it may count or not."""
    producer = KafkaClients.of(settings).producer(acks="all")
    try:
        with kafka_away("Kafka did not take the new version"):
            await producer.start()
            topic = Names(settings.namespace).tables_version
            await producer.send_and_wait(topic, str(version).encode(), key=KEY)
    finally:
        await producer.stop()


def position_key(version: int, partition: int) -> int:
    """Return what a sink keeps a position under: offsets of another version's topic say nothing."""
    return (version - FIRST) * PARTITIONS_MAX + partition


def version_of(key: int) -> int:
    """Return the version that a position of a sink belongs to."""
    return key // PARTITIONS_MAX + FIRST


def positions_of(version: int, found: dict[int, int]) -> dict[int, int]:
    """Return the positions of a version by partition."""
    begin = position_key(version, 0)
    keys = range(begin, begin + PARTITIONS_MAX)
    return {key - begin: position for key, position in found.items() if key in keys}
