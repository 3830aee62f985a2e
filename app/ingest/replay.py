"""Sends rejected records anew, each at most once: event and memory of it in one transaction."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerFenced

from app.errors import (
    KafkaUnavailableError,
    MalformedJsonError,
    NotAnObjectError,
    OutsideRetentionError,
    RejectedError,
    StartError,
    TooLargeError,
    reason,
)
from app.events.decoding import decode
from app.events.event import partition_key
from app.events.malformed import why_not_json
from app.events.rejects import time_in
from app.kafka.clients import KafkaClients
from app.kafka.log import KafkaLog
from app.kafka.remembered import Remembered
from app.kafka.strange import leave_out
from app.kafka.topic_faults import HOUR_MS
from app.kafka.watermarks import Watermarks
from app.names import Names
from app.settings import Settings

# Open transactions hold up the readers of `events`; a killed one, for so long or until the next.
TRANSACTION_MS = 10_000
BATCH = 500  # records of a transaction
REPLAYED = b"1"


class Rejection(msgspec.Struct):
    """What is used of a value in events-rejected."""

    code: str
    topic: str
    partition: int
    offset: int
    payload: str
    payload_base64: bytes | None = None


class Wanted(NamedTuple):
    """Which to replay, by code and by when they were rejected in ms; and fields to set."""

    code: str | None = None
    begin_ms: int | None = None
    end_ms: int | None = None
    fields: Mapping[str, Any] = {}

    def has(self, code: str, at_ms: int) -> bool:
        """Whether a rejected record is among them."""
        return (
            self.code in (None, code)
            and (self.begin_ms is None or at_ms >= self.begin_ms)
            and (self.end_ms is None or at_ms < self.end_ms)
        )


@dataclass
class Replayed:
    """What became of the rejected records of a code; still: by the code of today."""

    sent: int = 0
    before: int = 0
    still: Counter[str] = field(default_factory=Counter)


class Sendable(NamedTuple):
    """A record for `events`; place: of the rejected one."""

    place: str
    code: str
    key: bytes | None
    value: bytes
    timestamp_ms: int


decode_rejection = msgspec.json.Decoder(Rejection).decode


def sendable(
    rejection: Rejection, at_ms: int, fields: Mapping[str, Any], now_ms: int
) -> tuple[bytes | None, bytes, int]:
    """Return (key, value, timestamp) of a rejected record as it is sent anew.

    at_ms: when it came. An event without a time of its own is of that moment; what is in the future
    of that one may have come by now. Raises RejectedError where it is still no event.
    """
    if rejection.code == TooLargeError.code:
        raise TooLargeError("only its first part was kept")
    value = rejection.payload.encode()
    if rejection.payload_base64 is not None:
        value = rejection.payload_base64
    if fields:
        value = with_fields(value, fields)
    try:
        event, at = decode(value, at_ms), at_ms
    except RejectedError:
        event, at = decode(value, now_ms), now_ms
    return partition_key(event) or None, value, at


def with_fields(value: bytes, fields: Mapping[str, Any]) -> bytes:
    """Return a JSON object with some fields set; raise RejectedError where it is none."""
    try:
        data = msgspec.json.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise MalformedJsonError(f"not JSON: {why_not_json(value, exc)}") from exc
    if not isinstance(data, dict):
        raise NotAnObjectError("fields can only be set in a JSON object")
    return msgspec.json.encode({**data, **fields})


class Replay:
    """Goes through events-rejected up to its present end."""

    def __init__(self, settings: Settings, wanted: Wanted) -> None:
        self._kafka, self._wanted = KafkaClients.of(settings), wanted
        self._names = Names(settings.namespace)
        # It is sent with the time when it came: Kafka may delete what is older before it counts.
        self._keeps_ms = settings.events_retention_hours * HOUR_MS
        self.outcomes: defaultdict[str, Replayed] = defaultdict(Replayed)
        self._strange: list[tuple[Any, BaseException]] = []

    async def run(self, *, dry: bool = False) -> None:
        """Send what is wanted; dry: only find out. Fills outcomes, also where it raises.

        Raises StartError where another replay has begun since, and KafkaUnavailableError: what is
        in outcomes was sent, and a batch of BATCH more may have been; all of it is remembered.
        """
        producer = self._kafka.producer(
            acks="all",
            transactional_id=f"{self._names.replayed}-replay",
            transaction_timeout_ms=TRANSACTION_MS,
        )
        try:
            await self._kafka.knock()
            if dry:
                await self._pass(None)
                return
            # Ends the transaction of one that was killed, and any other replay that is at work.
            await producer.start()
            await self._pass(producer)
        except ProducerFenced as exc:
            raise StartError("Another replay was started meanwhile; this one stops") from exc
        except (KafkaError, OSError) as exc:
            raise KafkaUnavailableError(f"Kafka is away: {reason(exc)}. Replay again") from exc
        finally:
            await producer.stop()

    async def _pass(self, producer: AIOKafkaProducer | None) -> None:
        done = await Remembered(self._kafka, self._names.replayed).read()
        batch: list[Sendable] = []
        async for record in self._records():
            if (found := self._judge(record, done)) is not None:
                batch.append(found)
            if len(batch) == BATCH:
                await self._send(producer, batch)
                batch = []
        await self._send(producer, batch)
        leave_out(self._strange)

    def _judge(self, record: Any, done: dict[str, bytes]) -> Sendable | None:
        try:
            rejection = decode_rejection(record.value or b"")
        except msgspec.MsgspecError as exc:
            self._strange.append((record, exc))
            return None
        if not self._wanted.has(rejection.code, record.timestamp):
            return None
        place = f"{rejection.topic}-{rejection.partition}-{rejection.offset}"
        outcome = self.outcomes[rejection.code]
        if place in done:
            outcome.before += bool(done[place])
            return None
        came_ms = time_in(record.headers, record.timestamp)
        now_ms = time.time_ns() // 1_000_000
        if came_ms < now_ms - self._keeps_ms:
            outcome.still[OutsideRetentionError.code] += 1
            return None
        try:
            made = sendable(rejection, came_ms, self._wanted.fields, now_ms)
        except RejectedError as exc:
            outcome.still[exc.code] += 1
            return None
        done[place] = b""  # an old topic has some twice
        return Sendable(place, rejection.code, *made)

    async def _send(self, producer: AIOKafkaProducer | None, batch: Sequence[Sendable]) -> None:
        if producer is not None and batch:
            async with producer.transaction():
                waiting = []
                for found in batch:
                    event = producer.send(
                        self._names.events,
                        found.value,
                        found.key,
                        timestamp_ms=found.timestamp_ms,
                    )
                    place = found.place.encode()
                    memory = producer.send(self._names.replayed, REPLAYED, key=place)
                    waiting += [await event, await memory]
                for sent in waiting:
                    await sent
        for found in batch:
            self.outcomes[found.code].sent += 1

    async def _records(self) -> AsyncIterator[Any]:
        topic = self._names.rejected
        async with Watermarks(self._kafka) as kafka:
            end = (await kafka.ends(topic))[0]
        async for records, _ in KafkaLog(self._kafka).read(topic, 0, 0, end):
            for record in records:
                yield record
