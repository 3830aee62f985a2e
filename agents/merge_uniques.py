"""Agent merge_uniques: add the users of `uniques` to the distinct users."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from app.events.records import Batch
from tables.alerts import Alerts
from tables.turns import Steps
from tables.uniques import DIRTY_MAX, Uniques


def register(
    app: Any, topic: Any, uniques: Uniques, alerts: Alerts | None, flush_interval_s: float
) -> None:
    """Add the agent and its flush timer to the app; flush_interval_s: until a batch is safe.

    What is merged can be read at once. alerts: looks at the rows of distinct values.
    """
    merging = SketchMerging(app, uniques, alerts)

    @app.agent(topic, name="merge_uniques")
    async def merge_uniques(stream: Any) -> AsyncIterator[int]:
        """Add each batch of sketches to the rows of its partition."""
        stream = stream.noack()
        async for event in stream.events():
            batch: Batch = event.value
            message = event.message
            message.value = None  # it waits for the flush, its records need not
            if await merging.whole(batch):
                done = partial(message.ack, app.consumer)
                uniques.merged(batch[0].partition, batch.after, done)
            if uniques.dirty_rows > DIRTY_MAX:
                await uniques.flush()
            yield len(batch)

    @app.timer(interval=flush_interval_s, name="flush_uniques")
    async def flush_uniques() -> None:
        await uniques.flush()


class SketchMerging:
    """Merges batches in steps, so that queries get their turn in between."""

    def __init__(self, app: Any, uniques: Uniques, alerts: Alerts | None) -> None:
        self._app, self._uniques, self._alerts = app, uniques, alerts
        self._steps = Steps()

    async def whole(self, batch: Batch) -> bool:
        """Merge a batch and raise its alerts; return whether it may be committed.

        It is not where partitions moved, and it is read again.
        """
        partition, alerts, consumer = batch[0].partition, self._alerts, self._app.consumer
        async for part in self._steps.over(batch, lambda: batch.gate == consumer.gate):
            rows = self._uniques.merge(partition, part)
            if alerts is not None:
                alerts.note_sketches(partition, rows, self._uniques.users_of)
        if batch.gate != consumer.gate:
            return False
        if alerts is not None and not await alerts.raise_due(partition, batch.gate, "uniques"):
            return False
        return bool(batch.gate == consumer.gate)
