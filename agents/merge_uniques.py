"""Agent merge_uniques: add the users of `uniques` to the distinct users."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from app.transport import Batch
from tables.uniques import DIRTY_MAX, Uniques


def register(app: Any, topic: Any, uniques: Uniques, flush_interval_s: float) -> None:
    """Add the agent and its flush timer to the app; flush_interval_s: until a batch is safe.

    What is merged can be read at once.
    """

    @app.agent(topic, name="merge_uniques")
    async def merge_uniques(stream: Any) -> AsyncIterator[int]:
        """Add each batch of sketches to the rows of its partition."""
        stream = stream.noack()
        async for event in stream.events():
            batch: Batch = event.value
            message = event.message
            message.value = None  # it waits for the flush, its records need not
            done = partial(message.ack, app.consumer)
            uniques.merge(batch[0].partition, batch, batch.after, done)
            if uniques.dirty_rows > DIRTY_MAX:
                await uniques.flush()
            yield len(batch)

    @app.timer(interval=flush_interval_s, name="flush_uniques")
    async def flush_uniques() -> None:
        await uniques.flush()
