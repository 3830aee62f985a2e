"""Topics as files of lines, with what a group has read of them, and back into empty topics."""

from __future__ import annotations

import asyncio
import gzip
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import TopicPartition

from app.kafka.clients import KafkaClients, kafka_away
from app.kafka.log import KafkaLog
from app.kafka.mending import Groups
from app.kafka.reader import PartitionReader
from app.kafka.watermarks import Watermarks

PACKED = 1  # of gzip: small topics of text
AT_ONCE = 500  # records on their way; a rejected one has up to 32 KB


class KeptRecord(msgspec.Struct, frozen=True, array_like=True):
    """A record as a line of JSON; bytes are base64 there.

    time: ms since 1970. done: whether the group was behind it.
    """

    partition: int
    time: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    done: bool


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(KeptRecord).decode


class TopicCopier:
    """Copies topics of one cluster to files, and back. Raises KafkaUnavailableError or OSError."""

    def __init__(self, kafka: KafkaClients, marks: Watermarks) -> None:
        self._kafka, self._marks = kafka, marks

    async def save(
        self,
        topic: str,
        file: Path,
        group: str = "",
        wanted: Callable[[Any], bool] = lambda _: True,
    ) -> None:
        """Write the committed records of a topic, by partition in their order.

        group: whose progress is kept. wanted: which records, each as aiokafka gives it.
        """
        begins, ends = await self._marks.begins(topic), await self._marks.ends(topic)
        done = await self._marks.committed(group, topic) if group else begins
        log = KafkaLog(self._kafka)
        with gzip.open(file, "wb", compresslevel=PACKED) as out:
            for partition, end in ends.items():
                async for batch, _ in log.read(topic, partition, begins[partition], end):
                    lines = _lines(filter(wanted, batch), done[partition])
                    await asyncio.to_thread(out.write, lines)

    async def send(self, topic: str, file: Path, group: str = "") -> None:
        """Send what save() wrote to a topic that is empty; the group goes on where it was."""
        producer = self._kafka.producer(acks="all", enable_idempotence=True)
        done: dict[int, int] = {}
        try:
            with kafka_away():
                await producer.start()
            with gzip.open(file, "rb") as lines:
                while records := await asyncio.to_thread(_next, lines):
                    with kafka_away():
                        done |= await _send(producer, topic, records)
        finally:
            await producer.stop()
        if group:
            groups = Groups(self._kafka, topic, [group])
            for partition, offset in done.items():
                with kafka_away():
                    await groups.begin_at(partition, offset)

    async def written_to(self, topic: str) -> int:
        """Return the end of a topic of one partition, with what is in open transactions."""
        part = TopicPartition(topic, 0)
        with kafka_away():
            async with PartitionReader(self._kafka, [part]) as reader:  # not read_committed
                return (await reader.ends())[part]


async def _send(producer: Any, topic: str, records: Sequence[KeptRecord]) -> dict[int, int]:
    """Return the offset behind the last record that was done, by partition."""
    waiting = [
        await producer.send(
            *(topic, one.value, one.key, one.partition),
            timestamp_ms=one.time,
            headers=one.headers,
        )
        for one in records
    ]
    sent = [await one for one in waiting]
    pairs = zip(records, sent, strict=True)
    return {one.partition: at.offset + 1 for one, at in pairs if one.done}


def _lines(records: Iterable[Any], done: int) -> bytes:
    kept = (
        KeptRecord(r.partition, r.timestamp, r.key, r.value, list(r.headers), r.offset < done)
        for r in records
    )
    return b"".join(_encode(one) + b"\n" for one in kept)


def _next(lines: Iterator[bytes]) -> list[KeptRecord]:
    return [_decode(line) for line in itertools.islice(lines, AT_ONCE)]
