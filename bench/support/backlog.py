"""Events in Kafka: a backlog of known content, written fast, or a steady flow."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from aiokafka import AIOKafkaProducer

from app.events.murmur2 import partition_of

BATCH_BYTES = 16_384  # of a record batch: what producers send unless told otherwise
IN_FLIGHT = 200  # record batches
SPAN_S = 3600  # event times: the last hour, rising
SAMPLE_EVERY, SAMPLES = 10, 40
Expected = dict[str, dict[str, int]]


@dataclass(frozen=True)
class Mix:
    """What events are about; keys: different urls; 0: each event has its own.

    sessions: whether events name a session, one of three of their user. keyed: whether records are
    keyed by user, as the collector does it. messages: whether each has a message_id, its uuid.
    own: whether they have what counters of one's own count: one of 1,000 categories, and a value.
    """

    events: int
    keys: int
    seed: int
    sessions: bool = False
    keyed: bool = False
    messages: bool = False
    own: bool = False

    def __str__(self) -> str:
        return f"{self.keys:,} keys" if self.keys else "all keys distinct"

    def places(self) -> list[int]:
        """Return the number of each event's url."""
        if not self.keys:
            return list(range(self.events))
        return random.Random(self.seed).choices(range(self.keys), k=self.events)

    def types(self) -> list[str]:
        """Return each event's type: three views to a click."""
        return random.Random(self.seed + 1).choices(
            ["VIEW", "VIEW", "VIEW", "CLICK"], k=self.events
        )

    def expected(self) -> Expected:
        """Return {url: {type: count}} of the urls that came last."""
        places, types = self.places(), self.types()
        sample = set(places[-SAMPLES * SAMPLE_EVERY :: SAMPLE_EVERY])
        seen = Counter(pair for pair in zip(places, types, strict=True) if pair[0] in sample)
        counts: Expected = {url(place): {"CLICK": 0, "VIEW": 0} for place in sample}
        for (place, kind), count in seen.items():
            counts[url(place)][kind] = count
        return counts

    def values(self, end_s: float) -> Iterator[bytes]:
        """Yield the events as JSON of 150 bytes; end_s: time of the last one, s since 1970."""
        step, begin = SPAN_S / self.events, end_s - SPAN_S
        second, stamp = -1, ""
        for i, (place, kind) in enumerate(zip(self.places(), self.types(), strict=True)):
            if (now := int(begin + i * step)) != second:
                second, stamp = now, f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%S}Z"
            value = event_json(i, place, kind, stamp)
            if self.messages:
                value = _named(value)
            if self.own:
                value = _priced(i, value)
            yield _in_session(i, value) if self.sessions else value


def url(place: int) -> str:
    """Return the url of a number."""
    return f"/shop/page/{place:09d}"


def event_json(number: int, place: int, kind: str, stamp: str) -> bytes:
    """Return an event of 150 bytes."""
    text = (
        f'{{"uuid":"{number:08x}-0000-4000-8000-{place:012x}","url":"{url(place)}","type":"{kind}"'
        f',"timestamp":"{stamp}","user_id":"{number % 9973:06d}"'
    )
    return f"{text}{'}':>{150 - len(text)}}".encode()


def user_key(number: int) -> bytes:
    """Return the key of the record of an event."""
    return b"%06d" % (number % 9973)


def _named(value: bytes) -> bytes:
    """Return an event with its uuid as its message_id."""
    return b'{"message_id":' + value[8:46] + b"," + value[1:]


def _in_session(number: int, value: bytes) -> bytes:
    """Return an event with a session, one of three of its user."""
    return b'%b,"session_id":"%06d-%d"}' % (value[:-1].rstrip(), number % 9973, number // 9973 % 3)


def _priced(number: int, value: bytes) -> bytes:
    """Return an event with a category of 1,000 and a value of some cents."""
    more = b'"category":"category %03d","app_name":"shop","value":%d.%02d'
    amount = number * 7919 % 10_000
    fields = more % (number % 1000, amount // 100, amount % 100)
    return b"%b,%b}" % (value.rstrip(b" }"), fields)


class Writer:
    """Writes records, a batch to each partition in turn, whatever their keys."""

    def __init__(self, kafka: str, topic: str, partitions: int) -> None:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=kafka, acks="all", linger_ms=0, max_batch_size=BATCH_BYTES
        )
        self._topic, self._partitions = topic, partitions
        self._sent = 0
        self._waiting: list[Any] = []

    async def __aenter__(self) -> Self:
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def write(self, values: Iterable[bytes]) -> None:
        """Write values without keys; return once they are acknowledged."""
        await self.write_records((None, value) for value in values)

    async def write_records(self, records: Iterable[tuple[bytes | None, bytes]]) -> None:
        """Write (key, value) records; return once they are acknowledged."""
        builder = self._producer.create_batch()
        for key, value in records:
            if builder.append(timestamp=None, key=key, value=value) is None:
                await self._send(builder)
                builder = self._producer.create_batch()
                builder.append(timestamp=None, key=key, value=value)
        if builder.record_count():
            await self._send(builder)
        await self._acknowledged(0)

    async def write_keyed(self, records: Iterable[tuple[bytes, bytes]]) -> None:
        """Write (key, value) records to the partitions of their keys, as a producer does."""
        begin = self._producer.create_batch
        builders = [begin() for _ in range(self._partitions)]
        for key, value in records:
            partition = partition_of(key, self._partitions)
            if builders[partition].append(timestamp=None, key=key, value=value) is None:
                await self._send(builders[partition], partition)
                builders[partition] = begin()
                builders[partition].append(timestamp=None, key=key, value=value)
        for partition, builder in enumerate(builders):
            if builder.record_count():
                await self._send(builder, partition)
        await self._acknowledged(0)

    async def _send(self, builder: Any, partition: int | None = None) -> None:
        builder.close()
        if partition is None:
            partition = self._sent % self._partitions
        self._sent += 1
        sent = await self._producer.send_batch(builder, self._topic, partition=partition)
        self._waiting.append(sent)
        if len(self._waiting) > IN_FLIGHT:
            await self._acknowledged(IN_FLIGHT // 2)

    async def _acknowledged(self, most: int) -> None:
        """Wait until at most so many batches are on their way."""
        done = self._waiting[: len(self._waiting) - most]
        self._waiting = self._waiting[len(done) :]
        for sent in done:
            await sent


async def fill(kafka: str, topic: str, partitions: int, mix: Mix) -> None:
    """Write a backlog, and say how long that took."""
    began = time.perf_counter()
    async with Writer(kafka, topic, partitions) as writer:
        values = mix.values(time.time())
        if mix.keyed:
            keys = map(user_key, range(mix.events))
            await writer.write_keyed(zip(keys, values, strict=True))
        else:
            await writer.write(values)
    print(
        f"  wrote {mix.events:,} events, {mix}, in {time.perf_counter() - began:.1f} s", flush=True
    )
