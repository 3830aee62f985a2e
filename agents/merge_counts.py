"""Agent merge_counts: merge the partial counts of `counts` into the totals."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from app.transport import Batch
from tables.alerts import Alerts
from tables.totals import Totals


def register(app: Any, topic: Any, totals: Totals, alerts: Alerts | None) -> None:
    """Add the agent to the app; alerts: watches the totals."""

    @app.agent(topic, name="merge_counts")
    async def merge_counts(stream: Any) -> AsyncIterator[int]:
        """Merge each batch of partial counts into the totals of its partition."""
        stream = stream.noack()
        async for event in stream.events():
            batch: Batch = event.value
            partition = batch[0].partition
            await totals.merge(partition, batch, batch.after)
            if alerts is None or await alerts.raise_due(partition, batch.gate):
                await stream.ack(event)
            yield len(batch)
