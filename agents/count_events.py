"""Agent count_events: fold each batch of `events` into the partial counts of its partition."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from time import time
from typing import Any

from app import metrics
from app.counting.flush_pace import FlushPace
from app.counting.groups import LeftOut
from app.counting.long_records import LongRecords
from app.counting.measures import SUM_OVERFLOW
from app.counting.outcomes import offsets_between, outcomes
from app.counting.spec import OTHER_KEY, Rows
from app.errors import KafkaUnavailableError
from app.events.batches import Decoded, Judged, decode_batch, forget_known_users
from app.events.rejects import reject_record, rejected_headers
from app.kafka.rejections import Rejections
from app.settings import Settings
from app.transport import Batch, is_member, kafka_producer
from tables.beginnings import Beginnings
from tables.messages import Messages
from tables.outcome_row import OUTCOMES_ROW
from tables.partials import Partials
from tables.statistics import Statistics
from tables.turns import Steps

log = logging.getLogger(__name__)

AGAIN_S = 1.0  # after Kafka did not say what was rejected
ROLE = "count"
FLUSH_ROWS = 500_000  # changed rows that wait; 200 MB
MESSAGES_A_ROW = 10  # a message_id takes 40 bytes until it is flushed, a row 400


@dataclass(frozen=True)
class Judges:
    """What a batch is judged by. statistics, messages: None: off. begun: None: no own counters."""

    statistics: Statistics | None = None
    messages: Messages | None = None
    begun: Beginnings | None = None

    def tables(self) -> list[Statistics | Messages]:
        """Return what remembers something of a batch."""
        return [part for part in (self.messages, self.statistics) if part is not None]

    def waiting(self) -> int:
        """Return how much waits for a flush, about, in rows."""
        return (self.statistics.waiting if self.statistics else 0) + (
            0 if self.messages is None else self.messages.waiting // MESSAGES_A_ROW
        )

    def shrink(self) -> None:
        """Forget what can be read again."""
        forget_known_users()
        if self.statistics is not None:
            self.statistics.shrink()

    @property
    def by_uuid(self) -> bool:
        """Whether an event's uuid is its message_id where it has none."""
        return self.messages is not None and self.messages.by_uuid

    async def load(self, partition: int) -> None:
        """Bring in what judge() will look at."""
        if self.messages is not None:
            await self.messages.load(partition)

    def judge(self, batch: Sequence[Any], decoded: Decoded, now: float) -> Judged:
        """Sort the events of a batch, duplicates first: no rule looks at them."""
        partition, judged = batch[0].partition, Judged(decoded.valid)
        position, record_s = batch[-1].offset + 1, batch[-1].timestamp / 1000
        if self.messages is not None:
            judged = self.messages.judge(partition, decoded.valid, decoded.named)
            self.messages.passed(partition, position, record_s)
        if self.statistics:
            again = judged.duplicate
            judged = self.statistics.judge(partition, judged.human)._replace(duplicate=again)
            self.statistics.note(partition, judged, now)
            self.statistics.passed(partition, position, record_s)
        return judged

    def note_values(self, partition: int, judged: Judged, now: float, left_out: LeftOut) -> None:
        """Add what counters of a counters.toml count the distinct values of."""
        if self.statistics and self.begun:
            values = self.begun.distinct_values(partition, judged, now, left_out)
            self.statistics.note_values(partition, values)


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
        async for event in stream.events():
            batch: Batch = event.value
            pace.note(batch[0].partition, batch.behind)
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


class Counting:
    """Counts batches in steps, so that queries get their turn in between."""

    def __init__(
        self, app: Any, partials: Partials, judges: Judges, rejections: Rejections | None
    ) -> None:
        """rejections: None: they go nowhere."""
        self._app, self._partials, self._judges = app, partials, judges
        self._rejections = rejections
        self._steps, self._gate = Steps(), 0

    async def whole(self, batch: Batch) -> bool:
        """Count a batch; return False where partitions moved meanwhile, and it is read again.

        What was counted of it is forgotten then: the rest alone would hide that.
        """
        if batch.gate != self._gate:  # replays come first, and cost more
            self._steps, self._gate = Steps(), batch.gate
            if self._rejections is not None:
                self._rejections.forget()
        partition, begun = batch[0].partition, self._judges.begun
        if batch.lost and batch.gate == self._app.consumer.gate:
            self._partials.lose(partition, batch.before - batch.lost, batch.before)
        if begun is not None:
            await begun.load(partition, batch.before)
        for part in self._steps.cut(batch):
            await self._judges.load(partition)
            decoded = None
            if begun is not None and begun.has_room():
                decoded = decode_batch(part, by_uuid=self._judges.by_uuid)
                await begun.decide(partition, decoded.valid)
            if batch.gate != self._app.consumer.gate:
                return False
            with self._steps.step(part):
                decoded = decoded or decode_batch(part, by_uuid=self._judges.by_uuid)
                absorb(self._partials, self._judges, part, decoded)
            if not await self._reject(decoded):
                return False
            if len(part) < len(batch):
                await asyncio.sleep(0)
        return bool(batch.gate == self._app.consumer.gate)

    async def _reject(self, decoded: Decoded) -> bool:
        """Send what cannot be counted to `events-rejected`, where it is not there already.

        Return False where the partition may have another owner by now, who does it.
        """
        rejections, new = self._rejections, []
        for record, error in decoded.rejected:
            metrics.events_rejected.labels(error.code).inc()
            if rejections is not None and not await self._is_rejected(rejections, record):
                new.append((record, error))
        if rejections is None or not new:
            return True
        if not await is_member(self._app.consumer, self._gate):
            return False
        for record, error in new:
            key, value = reject_record(record, error)
            sent = await kafka_producer(self._app).send(
                rejections.topic, value, key=key, headers=rejected_headers(record)
            )
            self._partials.await_before_commit(record.partition, sent)
        return True

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


def absorb(partials: Partials, judges: Judges, batch: Sequence[Any], decoded: Decoded) -> None:
    """Judge the events of a batch and count them."""
    partition, now = batch[0].partition, time()
    first, last = batch[0].offset, batch[-1].offset
    judged = judges.judge(batch, decoded, now)
    received = [record.offset for record in batch]
    if decoded.fillers:
        none = {record.offset for record in decoded.fillers}
        received = [offset for offset in received if offset not in none]
    seen = partials.last(partition)
    rejected = [record.offset for record, _ in decoded.rejected]
    left_out, told = LeftOut(), first - 1  # of the offsets up to there

    def fold(begin: int, end: int) -> Rows:
        nonlocal told
        part = judged if (begin, end) == (first - 1, last) else judged.between(begin, end)
        left, told = (left_out, end) if begin == told else (None, told)
        if judges.begun is None:
            rows = partials.counters.fold(part, now, left_out=left)
        else:
            rows = judges.begun.fold(partition, part, begin, now, left)
        rows[OUTCOMES_ROW] = outcomes(
            offsets_between(received, begin, end),
            part,
            offsets_between(rejected, begin, end),
        )
        return rows

    judges.note_values(partition, judged, now, left_out)
    partials.absorb(partition, first, last, fold)
    if decoded.fillers or partials.void(partition):
        metrics.events_lost.labels(ROLE).inc(partials.account(partition, batch, seen))
        if decoded.fillers:
            partials.send_again(partition)
    metrics.events_counted.inc(len(judged.human.events))
    metrics.bot_views.inc(len(judged.bot.events))
    metrics.duplicates.inc(len(judged.duplicate.events))
    tell_left_out(partials, left_out)


def tell_left_out(partials: Partials, left_out: LeftOut) -> None:
    """Let metrics say what counters of a counters.toml could not add, or counted together."""
    for number, many in partials.too_large.items():
        left_out[partials.counters.by_number[number].name, SUM_OVERFLOW] += many
    partials.too_large.clear()
    for (counter, code), many in left_out.items():
        if code == OTHER_KEY:
            metrics.keys_in_other.labels(counter).inc(many)
        else:
            metrics.counter_left_out.labels(counter, code).inc(many)
