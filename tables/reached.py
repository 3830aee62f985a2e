"""How far a table has come in `events`, and who waits until it holds more.

Nobody asks again and again: what is merged wakes those for whom it was enough.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from app.counting.row_keys import MARK
from app.errors import RecoveringError
from app.events.positions import EventPositions
from tables.floor import BEHIND, Floor

WAITING_MAX = 10_000  # of one table; 1 KB each

Holds = Callable[[int, EventPositions], bool]


class Reached:
    """Of one table.

    holds: whether a partition of the table holds all events below the positions, by partition of
    `events`; what it says can be read at once.
    """

    def __init__(self, holds: Holds) -> None:
        self.holds = holds
        self.floor: Floor | None = None  # no older tables have answered
        self._waiting: defaultdict[int, dict[asyncio.Future[None], EventPositions]] = defaultdict(
            dict
        )
        self._number = 0

    def check_floor(self, partition: int) -> None:
        """Raise RecoveringError while a partition holds less than older tables may have."""
        floor = self.floor.known() if self.floor is not None else {}
        if floor and not self.holds(partition, floor):
            raise RecoveringError(BEHIND)

    async def wait(self, partition: int, positions: EventPositions, seconds: float) -> bool:
        """Return once a partition may hold what is asked for, or partitions move: look again.

        Returns False where the time is over, or too many wait already.
        """
        if seconds <= 0 or self._number >= WAITING_MAX:
            return False
        waiter = asyncio.get_running_loop().create_future()
        waiting = self._waiting[partition]
        waiting[waiter] = positions
        self._number += 1
        try:
            async with asyncio.timeout(seconds):
                await waiter
        except TimeoutError:
            return False
        finally:
            self._number -= 1
            waiting.pop(waiter, None)
        return True

    def wake(self, partition: int) -> None:
        """More is merged: wake those for whom it is enough."""
        for waiter, positions in self._waiting[partition].items():
            if not waiter.done() and self.holds(partition, positions):
                waiter.set_result(None)

    def note(self, partition: int, rows: Mapping[bytes, object], _position: int) -> None:
        """Rows were merged; see tables.totals.Watcher."""
        if MARK in rows:
            self.wake(partition)

    def forget(self) -> None:
        """Partitions move: somebody else may hold what is waited for, so wake all."""
        for waiting in self._waiting.values():
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_result(None)


def all_reached(merged: EventPositions, asked: EventPositions) -> bool:
    """Whether each partition that is asked about has come as far; one that never was is at 0."""
    return all(merged.get(source, 0) >= offset for source, offset in asked.items())


def marks_last(rows: Iterable[bytes]) -> list[bytes]:
    """Return rows in the order in which they go into the changelog, the mark behind the others.

    It says what the table holds: who recovers only the beginning of a write must not believe it.
    """
    ordered = sorted(rows)
    if ordered and ordered[0] == MARK:
        ordered.append(ordered.pop(0))
    return ordered
