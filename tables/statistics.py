"""What is kept beside the counters for each partition of `events`: what rules remember, sessions.

Written by the flush of the partials, before it acknowledges the batches that it came from.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from app.events.batches import Judged, Slice
from app.settings import Settings
from app.transport.ownership import Ownership
from tables.judged import JudgedTable
from tables.partials import Partials
from tables.sessions import Sessions
from tables.unique_deltas import UniqueDeltas


class Statistics:
    """The tables that one batch of events goes through."""

    def __init__(self, judged: JudgedTable, sessions: Sessions, users: UniqueDeltas) -> None:
        self._judged, self.sessions, self._users = judged, sessions, users

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
            committed=sources.committed,
        )
        sessions = Sessions.create(
            app, "sessions", partitions, Sessions.__doc__ or "", owned=sources.partitions
        )
        return cls(judged, sessions, UniqueDeltas(partials, uniques, settings.counts_partitions))

    def judge(self, partition: int, part: Slice) -> Judged:
        """Sort the events of a batch by the rules about users."""
        return self._judged.judge(partition, part)

    def note(self, partition: int, judged: Judged, now: float) -> None:
        """Add the events of a batch that are not bots'; now: s since 1970."""
        self.sessions.note(partition, judged.human, now)
        self._users.note(partition, judged.human, now)

    def passed(self, partition: int, position: int, record_s: float) -> None:
        """Note the position behind a batch, and the time of its last record, s since 1970."""
        self._judged.passed(partition, position, record_s)

    @property
    def waiting(self) -> int:
        """Rows that wait for a flush, about."""
        return self._judged.waiting + self.sessions.waiting + self._users.waiting

    async def flush(self, partition: int) -> None:
        """Write what is new of a partition; called by the partials."""
        await self._judged.flush_partition(partition)
        await self.sessions.flush_partition(partition)

    def forget(self) -> None:
        """Nothing: all are told of a rebalance themselves."""

    async def expire(self, partitions: Iterable[int]) -> int:
        """Delete rows past their retention; return how many."""
        partitions = list(partitions)
        return await self._judged.expire(partitions) + await self.sessions.expire(partitions)
