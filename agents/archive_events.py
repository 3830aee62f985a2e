"""Agent archive_events: app events of `events` into the archive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from time import time
from typing import Any

from app import metrics
from app.archive.buffer import ArchiveBuffer
from app.archive.rows import app_rows
from app.events.filler import losses_of
from app.settings import Settings

ROLE = "archive"
TICK_S = 0.1  # well below what the transport waits for running batches before a release


def register(app: Any, topic: Any, buffer: ArchiveBuffer, settings: Settings) -> None:
    """Add the agent and its task to the app."""
    interval_s, lost = settings.archive_interval_s, LostCount(buffer)

    @app.agent(topic, name="archive_events")
    async def archive_events(stream: Any) -> AsyncIterator[int]:
        """Gather the app events of each batch; they are acknowledged once they are on disk."""
        stream = stream.noack()
        async for event in stream.events():
            message, batch = event.message, event.value
            await lost.note(message.partition, batch)
            seen = await buffer.seen(message.partition, batch.gate)
            rows = app_rows(batch, seen, by_uuid=settings.dedupe_uuid)
            runs = []
            if seen is not None:
                runs = list(seen.take_fresh())
                seen.expire(min(batch[-1].timestamp, int(time() * 1000)))
            message.value = None  # it waits for the flush, its records need not
            acknowledge = partial(message.ack, app.consumer)
            if rows or runs:
                buffer.add(message.partition, rows, acknowledge, runs)
            else:
                acknowledge()
            buffer.reach(message.partition, batch.after)
            if buffer.is_full():
                await buffer.flush()
            yield len(rows)

    @app.task
    async def write_archive() -> None:
        """Flush at each interval, and at once before partitions are given back."""
        while True:
            await asyncio.sleep(TICK_S)
            age_s = buffer.age_s()
            releasing = app.should_stop or not app.consumer.flow_active
            if age_s >= interval_s or (age_s and releasing):
                await buffer.flush()


class LostCount:
    """Counts what fillers say is lost to the archive, and was not in it before."""

    def __init__(self, buffer: ArchiveBuffer) -> None:
        self._buffer = buffer
        self._seen: dict[int, int] = {}  # by partition: the last offset that is accounted for
        self._void: dict[int, int] = {}  # see app.events.filler.Losses

    async def note(self, partition: int, batch: Any) -> None:
        """Look at a batch before it is archived."""
        seen = self._seen.get(partition)
        if seen is None:
            stored = await self._buffer.position(partition)
            seen = stored.offset - 1 if stored is not None else -1
        found = losses_of(batch, seen, self._void.get(partition, 0))
        self._seen[partition], self._void[partition] = max(seen, batch[-1].offset), found.void
        metrics.events_lost.labels(ROLE).inc(found.lost)
