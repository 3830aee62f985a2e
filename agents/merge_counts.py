"""Agent merge_counts: merge the partial counts of `counts` into the totals."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from app.events.records import Batch
from app.kafka.refilling import has_fillers
from tables.alerts import Alerts
from tables.totals import Totals
from tables.turns import Steps

AskAgain = Callable[[], Awaitable[None]]


def register(
    app: Any, topic: Any, totals: Totals, alerts: Alerts | None, ask_again: AskAgain
) -> None:
    """Add the agent to the app.

    alerts: watches the totals. ask_again: called where Kafka has lost records of `counts`.
    """
    merge = Merging(app, totals, alerts, ask_again)

    @app.agent(topic, name="merge_counts")
    async def merge_counts(stream: Any) -> AsyncIterator[int]:
        """Merge each batch of partial counts into the totals of its partition."""
        stream = stream.noack()
        async for event in stream.events():
            if await merge.whole(event.value):
                await stream.ack(event)
            yield len(event.value)


class Merging:
    """Merges batches in steps, so that queries get their turn in between."""

    def __init__(
        self, app: Any, totals: Totals, alerts: Alerts | None, ask_again: AskAgain
    ) -> None:
        self._ask_again = ask_again
        self._app, self._totals, self._alerts = app, totals, alerts
        self._steps = Steps()

    async def whole(self, batch: Batch) -> bool:
        """Merge a batch and raise its alerts; return whether it may be committed."""
        partition = batch[0].partition
        if has_fillers(batch):
            await self._ask_again()
        consumer, alerts = self._app.consumer, self._alerts
        async for part in self._steps.over(batch, lambda: batch.gate == consumer.gate):
            after = batch.after if part[-1] is batch[-1] else part[-1].offset + 1
            await self._totals.merge(partition, part, after)
        if batch.gate != consumer.gate:
            return False  # it is read again
        return alerts is None or await alerts.raise_due(partition, batch.gate)
