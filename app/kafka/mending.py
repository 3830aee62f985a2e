"""Pads logs that lost their end, so that no offset is used twice.

After a power cut, an unclean election, a restored volume, or on a new cluster, the log of a topic
may end before the position that its readers have reached. New records would get offsets that the
readers take for read, and nobody would read them. So the partition is padded up to that position
first (docs/internals/decisions/lost-logs.md).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from aiokafka import TopicPartition
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.errors import KafkaError

from app.errors import KafkaUnavailableError, UnavailableError, reason
from app.kafka.clients import KafkaClients, kafka_away
from app.kafka.groups import committed
from app.kafka.padding import pad
from app.kafka.reader import PartitionReader

log = logging.getLogger(__name__)

LOOK_S = 10.0  # for a few questions; a topic that is not there yet never answers
READ_MS = 5000  # for a record that is known to be there

FillRecord = tuple[bytes | None, bytes | None]  # key and value


class LogMemory(Protocol):
    """Remembers how long the log once was."""

    name: str

    async def positions(self) -> Mapping[int, int]:
        """Return by partition the offset below which it has seen all records.

        Raises UnavailableError.
        """
        ...


class Log(NamedTuple):
    """A partition now. begin, end: its first offset, and the one behind its last."""

    begin: int
    end: int


class FilledGap(NamedTuple):
    """A partition that ended at `end` and was padded to `until`, as `who` remembered it."""

    partition: int
    end: int
    until: int
    who: str


class Identity(Protocol):
    """Knows which log the positions belong to."""

    async def check(self, logs: Mapping[int, Log]) -> None:
        """Raise StartError if the log is a different one with records of its own."""
        ...

    async def accept(self) -> None:
        """Use the log, which is long enough by now, from here on."""
        ...


class Groups:
    """LogMemory: what consumer groups have committed."""

    def __init__(self, kafka: KafkaClients, topic: str, groups: Sequence[str]) -> None:
        self.name = f"the groups {', '.join(groups)}"
        self._kafka, self._topic, self._groups = kafka, topic, groups

    async def positions(self) -> Mapping[int, int]:
        """Return the largest committed offset of each partition."""
        admin = self._kafka.admin()
        try:
            with kafka_away(f"Kafka does not say what {self.name} have committed"):
                async with asyncio.timeout(LOOK_S):
                    await admin.start()
                    by_group = [await committed(admin, group) for group in self._groups]
        finally:
            await admin.close()
        found: dict[int, int] = {}
        for offsets in by_group:
            for part, at in offsets.items():
                if part.topic == self._topic:
                    found[part.partition] = max(at, found.get(part.partition, -1))
        return found

    async def begin_at(self, partition: int, offset: int) -> None:
        """Let the groups continue at an offset, except those that have members."""
        part = TopicPartition(self._topic, partition)
        for group in self._groups:
            consumer = self._kafka.consumer(group_id=group)
            try:
                await consumer.start()
                consumer.assign([part])
                try:
                    await consumer.commit({part: offset})
                except KafkaError as exc:
                    log.info("%s: offset %d is not committed: %s", group, offset, reason(exc))
            finally:
                await consumer.stop()


class Padding(NamedTuple):
    """What a log is padded with.

    record: made from the offset up to which records once existed. told_by: returns that offset for
    the value of such a record, and None for others; without it the records do not tell.
    """

    record: Callable[[int], FillRecord]
    told_by: Callable[[bytes | None], int | None] | None = None


class Mender:
    """Pads the partitions of one topic. beyond: records to write after the missing ones."""

    beyond = 0

    def __init__(
        self,
        kafka: KafkaClients,
        parts: Sequence[TopicPartition],
        padding: Padding,
        groups: Groups,
        memories: Sequence[LogMemory] = (),
        identity: Identity | None = None,
    ) -> None:
        """parts: of one topic. groups: all that read it. memories: further ones."""
        self._kafka, self._parts = kafka, list(parts)
        self._topic, self._padding = parts[0].topic, padding
        self._groups, self._identity = groups, identity
        self._memories = [groups, *memories]

    async def mend(self, known: Mapping[int, int] | None = None) -> list[FilledGap]:
        """Pad the partitions that are too short; return them.

        known: positions that the caller itself has reached. Several processes may call it at once.
        Raises KafkaUnavailableError, and StartError if the log is a different one.
        """
        remembered = [(memory.name, await self._ask(memory)) for memory in self._memories]
        remembered.append(("this worker", known or {}))
        with kafka_away(f"Kafka does not say how long {self._topic} is"):
            async with PartitionReader(self._kafka, self._parts) as reader:
                async with asyncio.timeout(LOOK_S):
                    logs = await self._logs(reader)
                if self._identity is not None:
                    async with asyncio.timeout(LOOK_S):
                        await self._identity.check(logs)
                untold = await self._untold(reader, logs, known or {})
            short = find_short(logs, remembered)
            for found in short:
                await self._fill(found, logs[found.partition])
            for partition, until in untold.items():
                await self._tell(partition, until)
        if self._identity is not None:
            await self._identity.accept()
        return short

    async def _ask(self, memory: LogMemory) -> Mapping[int, int]:
        """Return what a memory holds; nothing if it is down, as events must still come in."""
        try:
            return await memory.positions()
        except KafkaUnavailableError:
            raise
        except UnavailableError as exc:
            log.warning(
                "whether %s had read more of %s than Kafka has is not known: %s",
                *(memory.name, self._topic, exc),
            )
            return {}

    async def _logs(self, reader: PartitionReader) -> dict[int, Log]:
        # Not read_committed: records of an open transaction are not lost.
        begins, ends = await reader.begins(), await reader.ends()
        return {part.partition: Log(begins[part], ends[part]) for part in self._parts}

    async def _untold(
        self, reader: PartitionReader, logs: Mapping[int, Log], known: Mapping[int, int]
    ) -> dict[int, int]:
        """Return what of `known` is lost, and the padding at the end says of less.

        Others that pad at the same time make a log longer than what they knew of, and so perhaps
        longer than what we know of, too.
        """
        found: dict[int, int] = {}
        if (told_by := self._padding.told_by) is None:
            return found
        for partition, position in known.items():
            begin, end = logs.get(partition, (0, 0))
            if not begin < end >= position:
                continue
            part = TopicPartition(self._topic, partition)
            read = reader.read(part, end - 1, end, silence_ms=READ_MS)
            last = [record.value async for records, _ in read for record in records]
            told = told_by(last[-1]) if last else None
            if told is not None and told < position:
                found[partition] = position
        return found

    async def _tell(self, partition: int, until: int) -> None:
        log.error(
            "%s-%d was padded for less than this worker knows of: Kafka lost records up to"
            " offset %d that it had acknowledged",
            *(self._topic, partition, until),
        )
        await pad(self._kafka, self._topic, partition, 1, self._padding.record(until))

    async def _fill(self, found: FilledGap, was: Log) -> None:
        is_new = was.begin == was.end == 0
        if is_new:
            log.warning(
                "%s-%d is a new log: its offsets go on at %d, up to where %s had read the last one",
                *(self._topic, found.partition, found.until, found.who),
            )
        else:
            log.error(
                "%s-%d ends at offset %d, but %s had read it up to %d: Kafka lost records that it"
                " had acknowledged. Padding it by %d offsets, so that none is used twice",
                *(self._topic, found.partition, found.end, found.who, found.until),
                found.until - found.end,
            )
        count = found.until - found.end + self.beyond
        await pad(
            self._kafka, self._topic, found.partition, count, self._padding.record(found.until)
        )
        if is_new:
            await self._skip(found)

    async def _skip(self, found: FilledGap) -> None:
        """Delete the padding of a new log, so that nobody has to read it."""
        admin = self._kafka.admin()
        part = TopicPartition(self._topic, found.partition)
        try:
            await admin.start()
            try:
                await admin.delete_records({part: RecordsToDelete(found.until)})
            except KafkaError as exc:  # a compacted topic: its readers skip fillers
                log.info("%s-%d: fillers stay: %s", self._topic, found.partition, reason(exc))
        finally:
            await admin.close()
        await self._groups.begin_at(found.partition, found.until)


def find_short(
    logs: Mapping[int, Log], remembered: Iterable[tuple[str, Mapping[int, int]]]
) -> list[FilledGap]:
    """Return the partitions that end before the highest position remembered. Pure.

    remembered: (who, positions). Partitions that do not exist are left out.
    """
    most: dict[int, tuple[int, str]] = {}
    for who, positions in remembered:
        for partition, position in positions.items():
            if position > most.get(partition, (0, ""))[0]:
                most[partition] = position, who
    return [
        FilledGap(partition, logs[partition].end, until, who)
        for partition, (until, who) in sorted(most.items())
        if partition in logs and logs[partition].end < until
    ]
