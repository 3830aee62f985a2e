"""Agent merge_uniques: add the users of `uniques` to the distinct users."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from app.transport import Batch
from tables.turns import Steps
from tables.uniques import DIRTY_MAX, Uniques


def register(app: Any, topic: Any, uniques: Uniques, flush_interval_s: float) -> None:
    """Add the agent and its flush timer to the app; flush_interval_s: until a batch is safe.

    What is merged can be read at once.
    """
    steps = Steps()

    @app.agent(topic, name="merge_uniques")
    async def merge_uniques(stream: Any) -> AsyncIterator[int]:
        """Add each batch of sketches to the rows of its partition."""
        stream = stream.noack()
        async for event in stream.events():
            batch: Batch = event.value
            message = event.message
            message.value = None  # it waits for the flush, its records need not
            if await merge(batch):
                done = partial(message.ack, app.consumer)
                uniques.merged(batch[0].partition, batch.after, done)
            if uniques.dirty_rows > DIRTY_MAX:
                await uniques.flush()
            yield len(batch)

    async def merge(batch: Batch) -> bool:
        """Merge a batch in steps; return False where partitions moved, and it is read again."""
        for part in steps.cut(batch):
            if batch.gate != app.consumer.gate:
                return False
            with steps.step(part):
                uniques.merge(batch[0].partition, part)
            if len(part) < len(batch):
                await asyncio.sleep(0)
        return bool(batch.gate == app.consumer.gate)

    @app.timer(interval=flush_interval_s, name="flush_uniques")
    async def flush_uniques() -> None:
        await uniques.flush()
