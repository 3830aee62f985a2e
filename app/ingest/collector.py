"""Hands events to Kafka and returns when Kafka has acknowledged them, never before.

Group commit: while one request is on its way to a broker, the events of all callers gather in one
record batch per partition, and a batch is sent and acknowledged once however many wait for it. So
the time that Kafka takes costs latency, not throughput: the busier, the fuller the batches.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence

from app import metrics
from app.errors import KafkaUnavailableError, NotAcknowledgedError, OverloadedError, reason
from app.events.event import Event
from app.events.murmur2 import partition_of
from app.events.packing import PackedRecord, pack
from app.events.positions import EventPositions
from app.kafka.clients import KafkaClients
from app.kafka.link import KafkaLink, Mend
from app.kafka.session import KafkaSession, RecordBatch
from app.names import Names
from app.settings import Settings

RECORD_OVERHEAD_BYTES = 200  # of what surrounds a waiting record in memory
KEYS_AT_ONCE_BYTES = 65_536  # hashed in one turn: 8 ms; a user id may have 32 KB


class _WaitingBatch(RecordBatch):
    """Records of one partition, and who waits for them."""

    __slots__ = ("done", "error", "since", "size", "waiters")

    def __init__(self, partition: int) -> None:
        super().__init__(partition)
        self.since = time.monotonic()
        self.size = 0
        self.done = False
        self.error = ""
        self.waiters: list[asyncio.Future[None]] = []

    def age_s(self) -> float:
        """Return the seconds since the first record came."""
        return time.monotonic() - self.since

    async def landed(self) -> None:
        """Return when Kafka has it; raise NotAcknowledgedError when Kafka did not say so.

        Each waiter has a future of its own, so that cancelling one leaves the others waiting.
        """
        if not self.done:
            waiter = asyncio.get_running_loop().create_future()
            self.waiters.append(waiter)
            await waiter
        if self.error:
            raise NotAcknowledgedError(self.error)

    def position(self, count: int) -> int:
        """Return the offset behind the first `count` records, of a batch that has landed."""
        return self.after - self.count + count

    def finish(self, error: str = "") -> None:
        """Wake all waiters."""
        self.done, self.error = True, error
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)


class _Lane:
    """Batches of the partitions that one broker leads: they travel in one request.

    Who leads is as known at the last connect; a stale answer costs speed, nothing else.
    """

    def __init__(self, session: KafkaSession) -> None:
        self.session = session
        self.filling: dict[int, _WaitingBatch] = {}  # by partition
        self.full: deque[_WaitingBatch] = deque()
        self.flight: asyncio.Task[None] | None = None

    def take(self) -> list[_WaitingBatch]:
        """Remove and return what goes into one request: the oldest batch of each partition."""
        taken: dict[int, _WaitingBatch] = {}
        for _ in range(len(self.full)):
            batch = self.full.popleft()
            if taken.setdefault(batch.partition, batch) is not batch:
                self.full.append(batch)
        for partition in self.filling.keys() - taken.keys():
            taken[partition] = self.filling.pop(partition)
        return list(taken.values())

    def empty(self) -> list[_WaitingBatch]:
        """Remove and return everything."""
        batches = [*self.full, *self.filling.values()]
        self.full.clear()
        self.filling.clear()
        return batches


class Collector:
    """Sends events; may be started before Kafka is there, and goes on when Kafka comes back."""

    def __init__(self, settings: Settings, mend: Mend | None = None) -> None:
        """mend: see KafkaLink."""
        self._topic = Names(settings.namespace).events
        self._timeout_s = settings.send_timeout_s
        self._max_bytes = settings.waiting_max_bytes
        self._link = KafkaLink(
            KafkaClients.of(settings), self._topic, settings.send_timeout_s, mend
        )
        self._session: KafkaSession | None = None  # the one that the lanes belong to
        self._lanes: list[_Lane] = []  # by partition; partitions of one leader share a lane
        self._flights: set[asyncio.Task[None]] = set()
        self.waiting_bytes = 0  # of events that Kafka has not acknowledged
        self._stopping = False

    def check_ready(self) -> bool:
        """Return True while Kafka takes events; else raise KafkaUnavailableError."""
        if self._link.session is None:
            raise KafkaUnavailableError(self._link.problem)
        if self._link.silent:
            raise KafkaUnavailableError("it does not answer")
        return True

    async def start(self) -> None:
        """Begin to connect, in the background; until then send() raises."""
        self._link.start()

    async def ended(self) -> None:
        """Return once it was stopped; raise RuntimeError where it ends by itself, after start()."""
        await self._link.keeper.ended()

    async def stop(self) -> None:
        """Take no more, wait for what is on its way (at most 1.5 times send_timeout_s), and go."""
        self._stopping = True
        await asyncio.gather(*self._flights, return_exceptions=True)
        await self._link.keeper.stop()

    async def send(self, events: Sequence[Event]) -> EventPositions:
        """Return when Kafka has acknowledged all of them, received now.

        Raises TooLargeError before anything is sent; else as send_records().
        """
        now_ms = time.time_ns() // 1_000_000
        return await self.send_records([pack(event, now_ms) for event in events])

    async def send_records(
        self, records: Sequence[PackedRecord], *, admitted: bool = False
    ) -> EventPositions:
        """Return the offset behind them of each partition once Kafka has acknowledged all of them.

        They are stored in the order given per partition.

        Raises NotAcknowledgedError: not all of them are stored, any of them may be; else
        KafkaUnavailableError, and OverloadedError where more waits already than waiting_max_bytes:
        none is stored. admitted: a part of their request is stored, so they are taken in any case.
        """
        self._check_open(admitted=admitted)
        # And the number of records in it behind the last of ours.
        batches: dict[_WaitingBatch, int] = {}
        hashed = 0
        for record in records:
            batch = self._add(record)
            batches[batch] = batch.count
            hashed += len(record[0])
            if hashed > KEYS_AT_ONCE_BYTES:
                hashed = 0
                await asyncio.sleep(0)
                self._check_open(admitted=True)
        positions: dict[int, int] = {}
        for batch, count in batches.items():  # those of a partition in their order
            await batch.landed()
            positions[batch.partition] = batch.position(count)
        return positions

    async def send_record(self, record: PackedRecord) -> EventPositions:
        """As send_records(), for one."""
        self._check_open()
        batch = self._add(record)
        count = batch.count
        await batch.landed()
        return {batch.partition: batch.position(count)}

    def _check_open(self, *, admitted: bool = False) -> None:
        if self._link.session is None or self._stopping:
            problem = "the collector stops" if self._stopping else self._link.problem
            raise (NotAcknowledgedError if admitted else KafkaUnavailableError)(problem)
        if self.waiting_bytes > self._max_bytes and not admitted:
            raise OverloadedError(f"{self.waiting_bytes} bytes of events are waiting for Kafka")
        session = self._link.session
        if session is not None and session is not self._session:
            leaders = [session.leader(number) for number in range(session.partitions)]
            lanes = {leader: _Lane(session) for leader in leaders}
            self._lanes = [lanes[leader] for leader in leaders]
            self._session = session

    def _add(self, record: PackedRecord) -> _WaitingBatch:
        """Put a record into the batch of its partition; returns that batch."""
        key, value, _ = record
        partition = partition_of(key, len(self._lanes))
        lane = self._lanes[partition]
        batch = lane.filling.get(partition)
        if batch is None or not batch.append(record):
            if batch is not None:
                lane.full.append(batch)
            batch = lane.filling[partition] = _WaitingBatch(partition)
            batch.append(record)
        size = len(key) + len(value) + RECORD_OVERHEAD_BYTES
        batch.size += size
        self.waiting_bytes += size
        if lane.flight is None:
            lane.flight = asyncio.get_running_loop().create_task(self._fly(lane))
            self._flights.add(lane.flight)
            lane.flight.add_done_callback(self._flights.discard)
        return batch

    async def _fly(self, lane: _Lane) -> None:
        """Send what has gathered, one request after the other, until nothing is left."""
        try:
            while lane.full or lane.filling:
                await asyncio.sleep(0)  # requests that have arrived by now come along
                batches = lane.take()
                expired = [batch for batch in batches if batch.age_s() > self._timeout_s]
                self._finish(expired, "Kafka is too slow")
                if failure := await self._request(lane.session, batches):
                    self._link.lose(lane.session, failure)
                    self._finish(lane.empty(), failure)
        finally:
            lane.flight = None
            self._finish(lane.empty(), "the collector stops")

    async def _request(self, session: KafkaSession, batches: list[_WaitingBatch]) -> str:
        """Send a batch of each partition and finish them all; return what failed, or nothing.

        Waits until send_timeout_s after a batch's first event; for what had to queue, half more.
        """
        batches = [batch for batch in batches if not batch.done]
        if not batches:
            return ""
        failure = "not acknowledged in time"
        started = time.monotonic()
        waited_s = max(batch.age_s() for batch in batches)
        metrics.waiting_bytes.set(self.waiting_bytes)
        try:
            async with asyncio.timeout(max(self._timeout_s - waited_s, self._timeout_s / 2)):
                await session.send(batches)
            failure = ""
        except TimeoutError:
            pass
        except Exception as exc:  # noqa: BLE001 - whatever it is, callers wait for a verdict
            failure = reason(exc)
        finally:
            self._finish([batch for batch in batches if batch.acknowledged])
            self._finish([batch for batch in batches if not batch.acknowledged], failure)
            metrics.waiting_bytes.set(self.waiting_bytes)
        metrics.acknowledge_seconds.observe(time.monotonic() - started)
        return failure

    def _finish(self, batches: list[_WaitingBatch], failure: str = "") -> None:
        for batch in batches:
            batch.finish(failure)
            self.waiting_bytes -= batch.size
            if not failure:
                metrics.batch_events.observe(batch.count)
                metrics.events_received.inc(batch.count)
                metrics.received_bytes.inc(batch.size)
