"""What is kept beside the counters for each partition of `events`: what rules remember, sessions.

Written by the flush of the partials, before it acknowledges the batches that it came from.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from app.counting.distinct import RowValues
from app.events.batches import Slice, Verdicts
from app.events.positions import EventPositions
from app.settings import Settings
from app.transport.ownership import Ownership
from tables.judged import JudgedTable
from tables.partials import Partials
from tables.reached import Reached
from tables.sessions import Sessions
from tables.unique_deltas import UniqueDeltas


class Statistics:
    """The tables that one batch of events goes through."""

    def __init__(
        self, judged: JudgedTable, sessions: Sessions, users: UniqueDeltas, sources: Ownership
    ) -> None:
        """sources: partitions of `events`."""
        self._judged, self.sessions, self._users = judged, sessions, users
        self._passed: dict[int, int] = {}
        self._flushed: dict[int, int] = {}
        self._sources = sources
        self.reached = Reached(self._holds)

    @classmethod
    def create(
        cls, app: Any, settings: Settings, sources: Ownership, partials: Partials, uniques: str
    ) -> Self | None:
        """Add the tables to the app; None where statistics are off.

        sources: of `events`. uniques: name of the topic.
        """
        if not settings.statistics:
            return None
        partitions = settings.events_partitions
        judged = JudgedTable.create(
            app,
            "judged",
            partitions,
            JudgedTable.__doc__ or "",
            bot_limit=settings.bot_limit,
            committed=partials.once_committed,
        )
        sessions = Sessions.create(
            app, "sessions", partitions, Sessions.__doc__ or "", owned=sources.partitions
        )
        users = UniqueDeltas(partials, uniques, settings.counts_partitions)
        return cls(judged, sessions, users, sources)

    def judge(self, partition: int, part: Slice) -> Verdicts:
        """Sort the events of a batch by the rules about users."""
        return self._judged.judge(partition, part)

    def is_bots(self, partition: int, part: Slice) -> bool | None:
        """As JudgedTable.is_bots()."""
        return self._judged.is_bots(partition, part)

    def note_values(self, partition: int, values: RowValues) -> None:
        """Add the values that counters of a counters.toml tell apart."""
        self._users.note_values(partition, values)

    def note(self, partition: int, verdicts: Verdicts, now: float) -> None:
        """Add the events of a batch that are not bots'; now: s since 1970."""
        self.sessions.note(partition, verdicts.human, now)
        self._users.note(partition, verdicts.human, now)

    def passed(self, partition: int, position: int, record_s: float) -> None:
        """Note the position behind a batch, and the time of its last record, s since 1970."""
        self._judged.passed(partition, position, record_s)
        self._passed[partition] = position

    @property
    def waiting(self) -> int:
        """Rows that wait for a flush, about."""
        return self._judged.waiting + self.sessions.waiting + self._users.waiting

    def shrink(self) -> None:
        """Forget what is written, and can be read again."""
        self._judged.shrink()
        self.sessions.shrink()

    async def flush(self, partition: int) -> None:
        """Write what is new of a partition; called by the partials."""
        position = self._passed.get(partition, 0)
        await self._judged.flush(partition)
        await self.sessions.flush(partition)
        self._flushed[partition] = position
        self.reached.wake(partition)

    def _holds(self, partition: int, positions: EventPositions) -> bool:
        """Whether the sessions of a partition of `events` can be read up to a position of it.

        What lies below where this worker began to read was committed, and so flushed before.
        """
        flushed = max(self._flushed.get(partition, 0), self._sources.started_at(partition))
        return flushed >= positions.get(partition, 0)

    def forget(self) -> None:
        """Forget how far partitions came; the tables are told of a rebalance themselves."""
        self._passed.clear()
        self._flushed.clear()
        self.reached.forget()

    async def expire(self, partitions: Iterable[int]) -> int:
        """Delete rows past their retention; return how many."""
        dropped = await self._judged.expire(partitions)
        return dropped + await self.sessions.expire(self._sources.partitions())  # ours by now
