"""min_position= and wait=: an answer from tables that hold what the asker has sent, or 503.

What is asked for is known to all that an answer goes through, by a context variable: who reads a
table checks it there, and an answer that is given again is never one that was made for less.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

from app.errors import BadRequestError, BehindError
from app.events.positions import SHOWN_MAX, EventPositions, parse, shown
from tables.reached import Reached
from web.http.args import args_of

POSITION, WAIT = "min_position", "wait"
WAIT_MAX_S = 10.0
_SECONDS = re.compile(r"[0-9]{1,3}(\.[0-9]{1,9})?", re.ASCII)


class Asking(Protocol):
    """A query, as far as it matters here; waited_s: at workers before this one."""

    path: str
    waited_s: float


@dataclass(frozen=True, eq=False)
class Least:
    """What an answer must hold at least; until: on the clock of the event loop, s."""

    positions: EventPositions
    until: float
    wait_s: float

    @property
    def left_s(self) -> float:
        """Seconds that are left to wait."""
        return max(0.0, self.until - asyncio.get_running_loop().time())

    @property
    def waited_s(self) -> float:
        """Seconds since it was asked, at all workers."""
        return self.wait_s - self.left_s

    def check(self, partition: int, reached: Reached) -> None:
        """Raise NotYetError where a partition of a table holds less."""
        if not reached.holds(partition, self.positions):
            raise NotYetError(partition, reached)

    async def wait(self, partition: int, reached: Reached) -> None:
        """Return once it is worth looking again; raise BehindError when the time is over."""
        if not await reached.wait(partition, self.positions, self.left_s):
            raise BehindError(f"not everything below {shown(self.positions)} is merged yet")


class NotYetError(Exception):
    """A partition of a table holds less than is asked for."""

    def __init__(self, partition: int, reached: Reached) -> None:
        super().__init__(partition)
        self.partition, self.reached = partition, reached


least: ContextVar[Least | None] = ContextVar("least", default=None)


def check(partition: int, reached: Reached) -> None:
    """Raise NotYetError where a partition of a table holds less than the query asks for.

    Raises RecoveringError where it holds less than tables that answered before.
    """
    reached.check_floor(partition)
    if (asked := least.get()) is not None:
        asked.check(partition, reached)


async def hold(partition: int, reached: Reached, is_ours: Callable[[], None]) -> None:
    """Wait until a partition of a table holds what the query asks for; raise BehindError.

    is_ours: raises where the partition is not this worker's any more. Raises RecoveringError where
    it holds less than tables that answered before.
    """
    reached.check_floor(partition)
    if (asked := least.get()) is None:
        return
    while not reached.holds(partition, asked.positions):
        await asked.wait(partition, reached)
        is_ours()


def wait_of(path: str) -> float:
    """Return the seconds that a query may wait, 0 where it does not say so as it should."""
    if f"{WAIT}=" not in path:
        return 0.0
    try:
        return seconds_of(args_of(path.partition("?")[2]).get(WAIT, "0"))
    except BadRequestError:
        return 0.0


def least_of(query: Asking, partitions: int) -> Least | None:
    """Return what a query asks for, None where it does not; raise BadRequestError.

    partitions: of `events`.
    """
    path = query.path
    if f"{POSITION}=" not in path and f"{WAIT}=" not in path:
        return None
    args = args_of(path.partition("?")[2])
    wait_s = seconds_of(args[WAIT]) if WAIT in args else 0.0
    if POSITION not in args:
        return None
    left_s = max(0.0, wait_s - query.waited_s)
    until = asyncio.get_running_loop().time() + left_s
    return Least(parse(args[POSITION], partitions), until, wait_s)


def seconds_of(text: str) -> float:
    """Return seconds to wait; raise BadRequestError unless they are a number from 0 to 10."""
    if not _SECONDS.fullmatch(text) or (seconds := float(text)) > WAIT_MAX_S:
        most = f"0 to {WAIT_MAX_S:.0f}"
        raise BadRequestError(f"wait={text[:SHOWN_MAX]} is not a number of seconds from {most}")
    return seconds
