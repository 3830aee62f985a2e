"""How a member leaves its group, whoever else is in it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from app.lasting import apart

LEAVE_S = 2.0


async def leave(consumer: Any) -> None:
    """Stop a consumer, within LEAVE_S.

    aiokafka waits for an assignment that it has asked for. Where the leader of the group has just
    died, or another member is slow to give away what it has, that is until a session has expired.
    It ends early, too, where a task of its own ends cancelled.
    """
    with contextlib.suppress(TimeoutError):  # what waits for the assignment is cancelled then
        async with asyncio.timeout(LEAVE_S):
            await apart(consumer.stop())
    for part in (consumer._fetcher, consumer._client):
        await apart(part.close())
