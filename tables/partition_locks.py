"""A lock for each partition of a table, and one way to hold them all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager


class PartitionLocks:
    """Partitions are flushed side by side; a rebalance waits for all that have begun."""

    def __init__(self, partitions: int) -> None:
        self._locks = [asyncio.Lock() for _ in range(partitions)]

    def of(self, partition: int) -> asyncio.Lock:
        """Return the lock of a partition."""
        return self._locks[partition]

    @asynccontextmanager
    async def all(self) -> AsyncIterator[None]:
        """Hold the locks of all partitions while inside."""
        async with AsyncExitStack() as held:
            for lock in self._locks:
                await held.enter_async_context(lock)
            yield
