"""Whether a worker still has what it was given, by what the broker says."""

from __future__ import annotations

import asyncio
from typing import Any

AGAIN_S = 0.2  # between questions to a coordinator that does not answer


async def is_member(consumer: Any, gate: int) -> bool:
    """Return whether the batches of a generation are still this worker's.

    gate: batch.gate. A process that stood still may have been replaced and not have noticed yet.
    Ask before an effect that reading again does not undo; False: leave the batch unacknowledged.
    Raises KafkaError where another process has this one's name.
    """
    while gate == consumer.gate:
        if await consumer._thread.call_thread(consumer._thread.heartbeat):
            return bool(gate == consumer.gate)
        if not consumer.flow_active:
            break
        await asyncio.sleep(AGAIN_S)
    return False
