"""How far this worker has counted the partitions of `events`, for those who wait for it."""

from __future__ import annotations

from app.events.positions import EventPositions
from app.transport.ownership import Ownership
from tables.partials import Partials
from tables.reached import Reached


class CountedTo:
    """Comes along with the flushes of the partials, see FlushHook."""

    def __init__(self, partials: Partials, sources: Ownership) -> None:
        """sources: partitions of `events`."""
        self._partials, self._sources = partials, sources
        self.reached = Reached(self._holds)
        partials.carry(self)
        partials.when_flushed = self.reached.wake

    def position(self, partition: int) -> int:
        """Return the position up to which a partition is counted, by whoever had it before, too."""
        return max(self._partials.flushed(partition), self._sources.started_at(partition))

    async def flush(self, partition: int) -> None:
        """Write nothing: it is what the partials remember."""

    def forget(self) -> None:
        """Partitions move: who waits must look again."""
        self.reached.forget()

    def _holds(self, partition: int, positions: EventPositions) -> bool:
        return self.position(partition) >= positions.get(partition, 0)
