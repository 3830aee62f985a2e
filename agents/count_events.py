"""Agent count_events: fold each batch of `events` into the partial counts of its partition."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import cache, partial
from time import time
from typing import Any

from app import metrics
from app.counting.counters import Counters
from app.counting.flush_pace import FlushPace
from app.counting.outcomes import outcomes
from app.counting.spec import Rows
from app.events.batches import Decoded, Judged, decode_batch
from app.events.rejects import reject_record
from app.settings import Settings
from app.transport import Batch, kafka_producer
from tables.partials import OUTCOMES_ROW, Partials
from tables.statistics import Statistics

FLUSH_ROWS = 500_000  # changed rows that wait; 200 MB


def register(
    app: Any,
    topic: Any,
    partials: Partials,
    settings: Settings,
    statistics: Statistics | None,
    rejected: str,
) -> None:
    """Add agent and timer. statistics: None: off. rejected: topic of rejections, empty: nowhere."""
    pace, counters = FlushPace(), partials.counters
    if statistics:
        partials.carry(statistics)

    @app.agent(topic, name="count_events")
    async def count_events(stream: Any) -> AsyncIterator[int]:
        """Fold each batch of events into the partial counts of its partition."""
        stream = stream.noack()
        async for event in stream.events():
            batch: Batch = event.value
            pace.note(batch[0].partition, batch.behind)
            decoded = decode_batch(batch)
            absorb(partials, counters, statistics, batch, decoded)
            await reject(app, partials, rejected, decoded)
            message = event.message
            message.value = None  # it waits for the flush, its records need not
            partials.absorbed(batch[0].partition, batch.after, partial(message.ack, app.consumer))
            waiting = partials.dirty_rows + (statistics.waiting if statistics else 0)
            if waiting > FLUSH_ROWS:
                await partials.flush()
                pace.flushed()
            yield len(batch)

    @app.timer(interval=settings.flush_interval_s, name="flush_partials")
    async def flush_partials() -> None:
        if pace.due():
            await partials.flush()
            pace.flushed()


def absorb(
    partials: Partials,
    counters: Counters,
    statistics: Statistics | None,
    batch: Batch,
    decoded: Decoded,
) -> None:
    """Judge the events of a batch and count them."""
    partition, now = batch[0].partition, time()
    judged = Judged(decoded.valid)
    if statistics:
        judged = statistics.judge(partition, decoded.valid)
        statistics.note(partition, judged, now)
        statistics.passed(partition, batch.after, batch[-1].timestamp / 1000)

    def with_outcomes(rows: Rows, after: int) -> Rows:
        rows[OUTCOMES_ROW] = outcomes(batch, decoded, judged, after)
        return rows

    @cache
    def fold_after(offset: int) -> Rows:
        return with_outcomes(counters.fold(judged.after(offset), now), offset)

    first, last = batch[0].offset, batch[-1].offset
    rows = with_outcomes(counters.fold(judged, now), first - 1)
    partials.absorb(partition, rows, first, last, fold_after)
    metrics.events_counted.inc(len(judged.human.events))
    metrics.bot_views.inc(len(judged.bot.events))


async def reject(app: Any, partials: Partials, topic: str, decoded: Decoded) -> None:
    """Send what cannot be counted to `events-rejected`; topic: empty: nowhere."""
    for record, error in decoded.rejected:
        metrics.events_rejected.labels(error.code).inc()
        if not topic:
            continue
        key, value = reject_record(record, error)
        sent = await kafka_producer(app).send(topic, value, key=key)
        partials.await_before_commit(record.partition, sent)
