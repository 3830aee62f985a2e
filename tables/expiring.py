"""A table that deletes the rows past their retention, here and in its changelog."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from time import time
from typing import Any

from tables.healing import HealingTable, RowChanges
from tables.scans import scan_keys

EXPIRE_CHUNK = 4000  # rows deleted at a time, so that nothing waits long


class ExpiringTable(HealingTable):
    """Base of BatchTable. What expires lies in ranges of keys."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.busy = asyncio.Lock()  # whoever has it ends before partitions move
        self.generation = 0  # how often they have: what has begun before is over
        self._deleted_to: dict[tuple[int, bytes], bytes] = {}  # by partition and begin of a range

    async def write(self, partition: int, rows: RowChanges) -> None:
        """Write rows to RocksDB and the changelog."""
        raise NotImplementedError

    def forget(self) -> None:
        """Drop what is only in memory: partitions move."""
        self.generation += 1
        self._deleted_to.clear()

    async def expire(self, partitions: Iterable[int]) -> int:
        """Delete the rows of these partitions that are past their retention; return how many.

        It ends where partitions move: a recovery would take what it still sends for its own.
        """
        now, generation = time(), self.generation
        old = [(part, bounds) for part in partitions for bounds in self.expired(part, now)]
        await self.before_expiry()  # what comes in from now on is in none of these ranges
        dropped = 0
        for partition, bounds in old:
            if generation != self.generation:
                break
            dropped += await self.delete_range(partition, bounds)
        return dropped

    def expired(self, partition: int, now: float) -> Iterable[tuple[bytes, bytes]]:
        """Return the ranges [begin, end) of keys past their retention; now: s since 1970."""
        raise NotImplementedError

    async def before_expiry(self) -> None:
        """Nothing; a table whose memory may hold such rows flushes them."""

    async def delete_range(self, partition: int, bounds: tuple[bytes, bytes]) -> int:
        """Delete the rows whose keys lie in [begin, end); return how many.

        What was deleted leaves tombstones, and looking through them takes as long as through rows:
        it goes on behind the last one, and next time where this range ends.
        """
        first, end = bounds
        begin = max(first, self._deleted_to.get((partition, first), first))
        dropped, generation = 0, self.generation
        while True:
            async with self.busy:
                if generation != self.generation:
                    return dropped
                if not (rows := self._keys_in(partition, (begin, end))):
                    self._deleted_to[partition, first] = end
                    return dropped
                await self.delete(partition, rows)
            dropped += len(rows)
            begin = rows[-1] + b"\0"
            await asyncio.sleep(0)

    async def delete(self, partition: int, rows: Sequence[bytes]) -> None:
        """Delete rows; a table that has some in memory forgets them first."""
        await self.write(partition, [(row, None) for row in rows])

    def _keys_in(self, partition: int, bounds: tuple[bytes, bytes]) -> list[bytes]:
        """Return up to EXPIRE_CHUNK keys of the range [begin, end)."""
        begin, end = bounds
        found: list[bytes] = []
        for key in scan_keys(self.db(partition), begin):
            if key >= end or len(found) == EXPIRE_CHUNK:
                break
            found.append(key)
        return found
