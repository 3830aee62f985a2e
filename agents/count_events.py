"""Agent count_events: fold each batch of `events` into the partial counts of its partition."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import cache, partial
from time import time
from typing import Any

from app import metrics
from app.batches import Judged, decode_batch
from app.counters import Counters, Rows
from app.flush_pace import FlushPace
from app.rejects import reject_record
from app.settings import Names, Settings
from app.transport import Batch, kafka_producer
from tables.partials import Partials

FLUSH_ROWS = 500_000  # changed rows that wait; 200 MB


def register(
    app: Any, topic: Any, partials: Partials, counters: Counters, settings: Settings
) -> None:
    """Add the agent and its flush timer to the app."""
    names = Names(settings.namespace)
    pace = FlushPace()

    @app.agent(topic, name="count_events")
    async def count_events(stream: Any) -> AsyncIterator[int]:
        """Fold each batch of events into the partial counts of its partition."""
        stream = stream.noack()
        async for event in stream.events():
            batch: Batch = event.value
            pace.note(batch[0].partition, batch.behind)
            await absorb(app, partials, counters, names.rejected, batch)
            message = event.message
            message.value = None  # it waits for the flush, its records need not
            partials.absorbed(batch[0].partition, batch.after, partial(message.ack, app.consumer))
            if partials.dirty_rows > FLUSH_ROWS:
                await partials.flush()
                pace.flushed()
            yield len(batch)

    @app.timer(interval=settings.flush_interval_s, name="flush_partials")
    async def flush_partials() -> None:
        if pace.due():
            await partials.flush()
            pace.flushed()


async def absorb(
    app: Any, partials: Partials, counters: Counters, rejected_topic: str, batch: Batch
) -> None:
    """Count a batch, and send what cannot be counted to `events-rejected`."""
    partition = batch[0].partition
    decoded = decode_batch(batch)
    judged = Judged(human=decoded.valid)
    now = time()

    @cache
    def fold_after(offset: int) -> Rows:
        return counters.fold(judged.after(offset), now)

    first, last = batch[0].offset, batch[-1].offset
    partials.absorb(partition, counters.fold(judged, now), first, last, fold_after)
    for record, error in decoded.rejected:
        metrics.events_rejected.labels(error.code).inc()
        key, value = reject_record(record, error)
        sent = await kafka_producer(app).send(rejected_topic, value, key=key)
        partials.await_before_commit(partition, sent)
    metrics.events_counted.inc(len(judged.human.events))
