"""A table whose changes gather in memory and are written, once a flush, as one batch."""

from __future__ import annotations

from collections.abc import Collection

from tables.batch_table import BatchTable


class WriteBehindTable(BatchTable):
    """What has gathered and is not flushed is forgotten when partitions move: it is read again."""

    async def flush(self, partition: int | None = None) -> None:
        """Write what has gathered, of one partition or of all."""
        async with self.busy:  # a commit must not overtake a flush that is still sending
            due = self.gathered()
            if partition is not None:
                due = [partition] if partition in due else []
            if due:
                await self.write_gathered(due)

    def gathered(self) -> Collection[int]:
        """Return the partitions that have something to write."""
        raise NotImplementedError

    async def write_gathered(self, partitions: Collection[int]) -> None:
        """Write what has gathered of some partitions; called by flush() alone."""
        raise NotImplementedError
