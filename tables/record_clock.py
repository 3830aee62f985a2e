"""The time of the records that nothing goes back to: what memories of a partition expire by.

Not the clock: a worker that was down for days judges those days as it would have done then.
"""

from __future__ import annotations

from collections import defaultdict, deque
from time import time


class RecordClock:
    """By partition of `events`; in memory only."""

    def __init__(self) -> None:
        # Positions, and the time of the records that lie before them.
        self._passed: defaultdict[int, deque[tuple[int, float]]] = defaultdict(deque)
        self._reached: dict[int, float] = {}

    def passed(self, partition: int, position: int, record_s: float) -> None:
        """Note the position behind a batch, and the time of its last record, s since 1970."""
        self._passed[partition].append((position, record_s))

    def reached(self, partition: int, committed: int) -> float:
        """Return the time of the newest record below a committed position; 0: not known yet."""
        passed = self._passed[partition]
        while passed and passed[0][0] <= committed:
            # A record that claims to be from the future must not make the others forgotten.
            at = min(passed.popleft()[1], time())
            self._reached[partition] = max(at, self._reached.get(partition, 0.0))
        return self._reached.get(partition, 0.0)

    def forget(self) -> None:
        """Begin anew: what was passed is read again."""
        self._passed.clear()
        self._reached.clear()
