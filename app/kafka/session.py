"""One idempotent producer on aiokafka's client: ready-made record batches out, errors in time.

aiokafka's own producer repeats a batch of an idempotent producer for ever, cannot be closed
meanwhile, and after a batch that failed for good finds every later one of its partition out of
sequence. Here the caller bounds the time, and gives the whole session up when a batch fails: what
its callers were told is an error cannot reach Kafka behind their backs, unless it was on the wire
already. It also takes half the time per batch.

Protocol: kafka.apache.org/protocol, Produce and InitProducerId; sequences: KIP-98.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from time import time
from typing import Any, Self

from aiokafka import TopicPartition
from aiokafka.errors import (
    DuplicateSequenceNumber,
    InvalidTimestampError,
    KafkaConnectionError,
    KafkaError,
    LeaderNotAvailableError,
    NoError,
    for_code,
)
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import InitProducerIdRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from app.events.packing import PackedRecord
from app.events.times import rfc3339
from app.kafka.clients import KafkaClients

BATCH_MAX_BYTES = 512_000  # half of what Kafka takes by default; the largest event has 64 KB
RETRY_S = 0.1  # between attempts to send, while a leader is being found
ANSWER_S = 5.0  # for a question whether Kafka is there; a busy machine takes some seconds
INT32_MAX = 2**31 - 1
SEQUENCES = 2**31  # then they start again at 0
ACKS_ALL = -1
MAGIC = 2  # of record batches since Kafka 0.11
LATEST = -1  # the end of a partition, asked for as a time
AHEAD_MAX_MS = 3_660_000  # a broker takes no record from over an hour after its own time
UNKNOWN = -1  # an offset that Kafka does not know any more
READ_ALL = 0  # isolation level: records of open transactions, too
NOBODY = -1  # producer id and epoch before they are known; leader of a partition without one
Again = Callable[[], Awaitable[None]]
Headers = Sequence[tuple[str, bytes | None]]
NO_HEADERS: Headers = []


async def always() -> None:
    """Nothing speaks against another attempt."""


def _ahead() -> KafkaError:
    """Return what to say where a broker refuses records for their time."""
    return InvalidTimestampError(
        f"the clock of this machine says {rfc3339(int(time()))}, over an hour more than that of "
        "the broker: set it"
    )


class RecordBatch:
    """Records of one partition, encoded as they come.

    after: once it is acknowledged, the offset behind its last record; UNKNOWN before.
    """

    __slots__ = ("_builder", "_data", "acknowledged", "after", "count", "partition")

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.count = 0
        self.acknowledged = False
        self.after = UNKNOWN
        self._builder: Any = DefaultRecordBatchBuilder(
            MAGIC, 0, 0, NOBODY, NOBODY, 0, BATCH_MAX_BYTES
        )
        self._data = b""

    def append(self, record: PackedRecord, headers: Headers = NO_HEADERS) -> bool:
        """Take a record; False when there is no room left."""
        key, value, timestamp_ms = record
        if self._builder.append(self.count, timestamp_ms, key, value, headers) is None:
            return False
        self.count += 1
        return True

    def close(self, producer_id: int, epoch: int, sequence: int) -> bytes:
        """Return the bytes, the same every time; it takes no more records."""
        if not self._data:
            self._builder.set_producer_state(producer_id, epoch, sequence)
            self._data = bytes(self._builder.build())
        return self._data


class KafkaSession:
    """A producer id and its sequence numbers, until the first batch that fails.

    partitions: of the topic. ends: by partition the offset behind the last acknowledged record. A
    partition's batches must be sent one after the other.
    """

    def __init__(self, kafka: KafkaClients, topic: str, timeout_s: float) -> None:
        """timeout_s: for one request."""
        self.partitions = 0
        self.ends: dict[int, int] = {}
        self.sending = 0  # calls of send() that have not ended
        self._suspect = False  # Kafka was away for a moment
        self._topic = topic
        self._timeout_ms = int(timeout_s * 1000)
        self._producer_id = self._epoch = NOBODY
        self._sequences: dict[int, int] = defaultdict(int)
        self._client = kafka.client(
            client_id="event-counter",
            request_timeout_ms=self._timeout_ms,
            retry_backoff_ms=int(RETRY_S * 1000),
        )

    @classmethod
    async def open(cls, kafka: KafkaClients, topic: str, timeout_s: float) -> Self:
        """Return a session that can send; raise KafkaError, or OSError."""
        session = cls(kafka, topic, timeout_s)
        try:
            await session._start()
        except BaseException:
            await session.close()
            raise
        return session

    async def close(self) -> None:
        """Disconnect, whatever is on its way."""
        with contextlib.suppress(KafkaError, OSError):
            await self._client.close()

    async def answers(self) -> bool:
        """Return whether Kafka says within ANSWER_S what it knows of the topic."""
        try:
            async with asyncio.timeout(ANSWER_S):
                if await self._client.force_metadata_update():
                    return True
        except (KafkaError, OSError):  # TimeoutError is one
            pass
        self._suspect = True
        return False

    def leader(self, partition: int) -> int:
        """Return the node that leads a partition, as far as is known."""
        found = self._client.cluster.leader_for_partition(TopicPartition(self._topic, partition))
        return NOBODY if found is None else int(found)

    async def send(self, batches: Sequence[RecordBatch], again: Again = always) -> None:
        """Return when all are acknowledged (acks=all), each of another partition.

        Tries again for as long as an error may pass: the caller bounds the time. again: awaited
        before each further attempt, and raises where there is to be none. Raises the
        KafkaError that will not; then, or when cancelled, the session is of no use any more, and
        batch.acknowledged tells which are stored for sure.
        """
        left = {batch.partition: batch for batch in batches}
        self.sending += 1
        try:
            while error := await self._careful_attempt(left):
                if not error.retriable:
                    raise error
                self._suspect = True
                await asyncio.sleep(RETRY_S)
                await self._client.force_metadata_update()
                await again()
        finally:
            error = None  # else a cycle, with all that was to be sent
            self.sending -= 1

    async def _careful_attempt(self, left: dict[int, RecordBatch]) -> KafkaError | None:
        """As _attempt(), where the topic is known to be whole."""
        if self._suspect and not await self._is_whole():
            return LeaderNotAvailableError()
        return await self._attempt(left)

    async def _is_whole(self) -> bool:
        """Return whether the topic still holds all that was acknowledged in this session.

        A broker that was away for a moment may come back with less. Where nothing of this producer
        is left it takes any sequence number, and would give offsets away a second time.
        """
        for partition, acknowledged in self.ends.items():
            leader = self.leader(partition)
            if leader == NOBODY or await self._end(leader, partition) < acknowledged:
                return False
        self._suspect = False
        return True

    async def _start(self) -> None:
        await self._client.bootstrap()
        if not await self._client.set_topics([self._topic]):
            raise KafkaConnectionError(f"no answer about the topic {self._topic}")
        self.partitions = len(self._client.cluster.partitions_for_topic(self._topic) or ())
        if not self.partitions:
            raise KafkaError(f"no topic {self._topic}")
        while (code := await self._take_producer_id()) is not NoError:
            if not code.retriable:
                raise code()
            await asyncio.sleep(RETRY_S)

    async def _take_producer_id(self) -> type[KafkaError]:
        """Ask for an id to number batches under; return what Kafka says to it."""
        made = await self._client.send(
            self._client.get_random_node(),
            InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=INT32_MAX),
        )
        self._producer_id, self._epoch = made.producer_id, made.producer_epoch
        found: type[KafkaError] = for_code(made.error_code)
        return found

    async def _attempt(self, left: dict[int, RecordBatch]) -> KafkaError | None:
        """Send what is left, take out what is acknowledged; return an error of the rest."""
        by_leader: dict[int, list[tuple[int, bytes]]] = defaultdict(list)
        for partition, batch in left.items():
            data = batch.close(self._producer_id, self._epoch, self._sequences[partition])
            by_leader[self.leader(partition)].append((partition, data))
        error: KafkaError | None = None
        for leader, parts in by_leader.items():
            if leader == NOBODY:
                error = LeaderNotAvailableError()
                continue
            request = ProduceRequest(None, ACKS_ALL, self._timeout_ms, [(self._topic, parts)])
            try:
                response = await self._client.send(leader, request)
            except KafkaError as exc:
                error = exc.with_traceback(None)  # else a cycle, with all that was to be sent
                continue
            for partition, code, first, *_ in response.topics[0][1]:
                failure = for_code(code)
                if failure is NoError or failure is DuplicateSequenceNumber:
                    batch = left[partition]
                    if first != UNKNOWN:
                        batch.after = first + batch.count
                    elif (end := await self._end(leader, partition)) != UNKNOWN:
                        batch.after = end
                    else:
                        error = LeaderNotAvailableError()
                        continue
                    del left[partition]
                    batch.acknowledged = True
                    end = first + batch.count  # first: -1 for one that is there twice
                    self.ends[partition] = max(end, self.ends.get(partition, 0))
                    following = self._sequences[partition] + batch.count
                    self._sequences[partition] = following % SEQUENCES
                else:
                    error = failure() if failure is not InvalidTimestampError else _ahead()
        return error

    async def clock_is_behind(self) -> bool:
        """Return whether Kafka has records from so long after our time that it must be wrong."""
        later = int(time() * 1000) + AHEAD_MAX_MS
        for partition in range(self.partitions):
            leader = self.leader(partition)
            if leader != NOBODY and await self._offset_at(leader, partition, later) != UNKNOWN:
                return True
        return False

    async def _end(self, leader: int, partition: int) -> int:
        """Return the end of a partition, UNKNOWN where its leader does not say.

        A batch that was stored by an earlier attempt lies below it: of the last few of a producer
        only does Kafka remember the offset.
        """
        return await self._offset_at(leader, partition, LATEST)

    async def _offset_at(self, leader: int, partition: int, at_ms: int) -> int:
        """Return the first offset of that time or later; UNKNOWN: none, or no answer."""
        asked = OffsetRequest(NOBODY, READ_ALL, [(self._topic, [(partition, at_ms)])])
        try:
            response = await self._client.send(leader, asked)
        except KafkaError:
            return UNKNOWN
        ((_, code, _time, end),) = response.topics[0][1]
        return int(end) if for_code(code) is NoError else UNKNOWN
