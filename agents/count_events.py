"""Agent count_events: fold each batch of `events` into the partial counts of its partition."""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_left
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from functools import partial
from itertools import chain
from operator import attrgetter
from time import time
from typing import Any

from app import metrics
from app.counting.flush_pace import FlushPace
from app.counting.long_records import LongRecords
from app.errors import KafkaUnavailableError
from app.events.batches import Decoded, Slice, Verdicts, decode_batch
from app.events.records import Batch
from app.events.rejects import reject_record
from app.kafka.rejections import Rejections
from app.kafka.sure_topic import SureRecord
from app.settings import Settings
from app.transport import is_member
from tables.judges import JudgedBatch, Judges, add
from tables.partials import Partials
from tables.turns import Steps

log = logging.getLogger(__name__)

AGAIN_S = 1.0  # after Kafka did not say what was rejected
FLUSH_ROWS = 500_000  # changed rows that wait; 200 MB


def register(
    app: Any,
    topic: Any,
    partials: Partials,
    settings: Settings,
    judges: Judges,
    rejections: Rejections | None,
) -> None:
    """Add agent and timer. rejections: None: they go nowhere."""
    pace, count = FlushPace(), Counting(app, partials, judges, rejections)
    room = Room(partials, judges, pace)
    for table in judges.tables():
        partials.carry(table)
    if judges.begun is not None:
        partials.carry(judges.begun)

    @app.agent(topic, name="count_events")
    async def count_events(stream: Any) -> AsyncIterator[int]:
        """Fold each batch of events into the partial counts of its partition."""
        stream = stream.noack()
        async with aclosing(count):
            async for event in stream.events():
                batch: Batch = event.value
                pace.note(batch[0].partition, batch.lag)
                if await count.whole(batch):
                    message = event.message
                    message.value = None  # it waits for the flush, its records need not
                    done = partial(message.ack, app.consumer)
                    partials.absorbed(batch[0].partition, batch.after, done)
                await room.make(batch)
                yield len(batch)

    @app.timer(interval=settings.flush_interval_s, name="flush_partials")
    async def flush_partials() -> None:
        if pace.due():
            await partials.flush()
            pace.flushed()


class Room:
    """Keeps what is in memory within bounds: in rows and, for long names, in bytes."""

    def __init__(self, partials: Partials, judges: Judges, pace: FlushPace) -> None:
        self._partials, self._judges, self._pace = partials, judges, pace
        self._long = LongRecords()

    async def make(self, batch: Batch) -> None:
        """Flush where a batch that was counted makes it too much.

        Long names stay in the tables' memory after that, so they are forgotten, too.
        """
        partials, judges = self._partials, self._judges
        self._long.note([len(getattr(record, "value", None) or b"") for record in batch])
        if not self._long.due() and partials.dirty_rows + judges.waiting() <= FLUSH_ROWS:
            return
        await partials.flush()
        self._pace.flushed()
        if self._long.due():  # nothing is awaited since that flush: no other one is at work
            partials.shrink()
            judges.shrink()
            self._long.forgotten()


def cut_at(batch: Sequence[Any], offset: int) -> Iterator[Sequence[Any]]:
    """Yield the records below an offset, and the others."""
    if batch[0].offset >= offset:
        yield batch
        return
    begin = bisect_left(batch, offset, key=attrgetter("offset"))
    yield batch[:begin]
    yield batch[begin:]


class Counting:
    """Counts batches in steps, so that queries get their turn in between."""

    def __init__(
        self, app: Any, partials: Partials, judges: Judges, rejections: Rejections | None
    ) -> None:
        """rejections: None: they go nowhere."""
        self._app, self._partials, self._judges = app, partials, judges
        self._rejections = rejections
        self._judging, self._adding, self._gate = Steps(), Steps(), 0

    async def aclose(self) -> None:
        """Disconnect."""
        if self._rejections is not None:
            await self._rejections.close()

    async def whole(self, batch: Batch) -> bool:
        """Count a batch; return False where partitions moved meanwhile, and it is read again.

        What was counted of it is forgotten then: the rest alone would hide that.
        """
        if batch.gate != self._gate:  # replays come first, and cost more
            self._judging, self._adding, self._gate = Steps(), Steps(), batch.gate
            if self._rejections is not None:
                self._rejections.forget()
        partition, begun = batch[0].partition, self._judges.begun
        if batch.lost and batch.gate == self._app.consumer.gate:
            self._partials.lose(partition, batch.before - batch.lost, batch.before)
        if begun is not None:
            await begun.load(partition, batch.before)
        seen = await self._judged(batch)
        if seen is None:
            return False
        consumer = self._app.consumer
        async for part in self._adding.over(batch, lambda: batch.gate == consumer.gate):
            add(self._partials, self._judges, part, seen)
        return bool(batch.gate == consumer.gate)

    async def _judged(self, batch: Batch) -> JudgedBatch | None:
        """Return what a batch holds, and send what of it is rejected; None as whole() says it.

        In steps of its own: the fewer parts a batch is added in, the fewer rows that costs. What
        rules need below a commit is forgotten: where Kafka has lost it, events below it are not
        judged again, and are in all rows. What was rejected may be gone with it.
        """
        partition, judges, seen = batch[0].partition, self._judges, list[JudgedBatch]()
        known = self._partials.once_committed(partition)
        for part in chain.from_iterable(map(self._judging.cut, cut_at(batch, known))):
            if batch.gate != self._app.consumer.gate:
                return None
            await judges.load(partition)
            decoded, new = None, part[0].offset >= known
            if new and judges.begun is not None and judges.begun.has_room():
                decoded = decode_batch(part, by_uuid=judges.by_uuid)
                await judges.begun.decide(partition, decoded.valid)
            if batch.gate != self._app.consumer.gate:
                return None
            with self._judging.step(part):
                decoded = decoded or decode_batch(part, by_uuid=judges.by_uuid)
                verdicts = judges.judge(part, decoded, time()) if new else Verdicts(Slice())
            if not await self._reject(decoded):
                return None
            seen.append(JudgedBatch(verdicts, decoded.rejected, decoded.fillers))
            if len(part) < len(batch):
                await asyncio.sleep(0)
        return JudgedBatch.joined(seen)

    async def _reject(self, decoded: Decoded) -> bool:
        """Send what cannot be counted to `events-rejected`, where it is not there already.

        Return False where the partition may have another owner by now, who does it.
        """
        for _, error in decoded.rejected:
            metrics.events_rejected.labels(error.code).inc()
        rejections = self._rejections
        while rejections is not None and (new := await self._new(rejections, decoded)):
            if not await is_member(self._app.consumer, self._gate):
                return False
            try:
                await rejections.send(new)
            except KafkaUnavailableError as exc:
                log.warning("%s; trying again", exc)
                await asyncio.sleep(AGAIN_S)
            else:
                break
        return True

    async def _new(self, rejections: Rejections, decoded: Decoded) -> list[SureRecord]:
        """Return what the topic does not have."""
        return [
            reject_record(record, error)
            for record, error in decoded.rejected
            if not await self._is_rejected(rejections, record)
        ]

    async def _is_rejected(self, rejections: Rejections, record: Any) -> bool:
        """Whether a record was rejected before, or whoever has its partition by now does it.

        Waits while Kafka is away.
        """
        consumer, place = self._app.consumer, (record.partition, record.offset)
        while self._gate == consumer.gate:
            try:
                found = await rejections.has(*place, record.timestamp, consumer.started_at)
            except KafkaUnavailableError as exc:
                log.warning("%s cannot be read, trying again: %s", rejections.topic, exc)
                await asyncio.sleep(AGAIN_S)
            else:
                return found or self._gate != consumer.gate
        return True
