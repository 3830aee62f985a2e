"""What must be done, however long Kafka is away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from app.errors import KafkaUnavailableError

log = logging.getLogger(__name__)

AGAIN_S = 1.0

Done = TypeVar("Done")


async def outlast(work: Callable[[], Awaitable[Done]], waits: str) -> Done:
    """Return what work() returns, called again and again while Kafka is away.

    waits: what cannot go on meanwhile, begins the line in the log. A worker that ended instead
    would hold up others: its group shares its partitions out twice.
    """
    while True:
        try:
            return await work()
        except KafkaUnavailableError as exc:
            log.warning("%s: %s", waits, exc)
        await asyncio.sleep(AGAIN_S)
