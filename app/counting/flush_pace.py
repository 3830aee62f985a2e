"""When a table that is written behind is flushed (docs/internals/decisions/flush-pace.md). Pure."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

BACKLOG = 4000  # records that follow in a partition: there is a backlog, larger flushes pay off
BACKLOG_FLUSH_S = 20.0
BACKLOG_PAUSE_S = 2.0  # that records known to follow have not come; then a flush waits no longer


class FlushPace:
    """Flush at every tick of the timer, or rarely while there is a backlog.

    A row that changes ten times between two flushes is written, sent and merged once; and while
    the newest events wait in Kafka, nobody misses the ones before them.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._backlogs: dict[int, float] = {}  # partition -> when a backlog was seen last
        self._flushed_at: float | None = None

    def note(self, partition: int, lag: int) -> None:
        """Learn from a batch of a partition; lag: records known to follow it."""
        now = self._clock()
        if self._flushed_at is None:
            self._flushed_at = now
        if lag >= BACKLOG:
            self._backlogs[partition] = now
        else:
            self._backlogs.pop(partition, None)

    def due(self) -> bool:
        """Whether to flush now."""
        if self._flushed_at is None:
            return True
        now = self._clock()
        # No batch comes while a flush takes the worker.
        quiet_since = max([self._flushed_at, *self._backlogs.values()])
        if self._backlogs and now - quiet_since < BACKLOG_PAUSE_S:
            return now - self._flushed_at >= BACKLOG_FLUSH_S
        self._backlogs.clear()  # those that came no more have perhaps moved to another worker
        return True

    def flushed(self) -> None:
        """Learn that a flush has ended."""
        self._flushed_at = self._clock()
