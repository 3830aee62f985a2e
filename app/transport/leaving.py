"""How a member leaves its group, whoever else is in it."""

from __future__ import annotations

import asyncio
from typing import Any

LEAVE_S = 2.0


async def leave(consumer: Any) -> None:
    """Stop a consumer, within LEAVE_S.

    aiokafka waits for an assignment that it has asked for. Where the leader of the group has just
    died, or another member is slow to give away what it has, that is until a session has expired.
    """
    try:
        async with asyncio.timeout(LEAVE_S):
            await consumer.stop()
    except TimeoutError:  # what waits for the assignment is cancelled by now
        for part in (consumer._fetcher, consumer._client):
            await part.close()
