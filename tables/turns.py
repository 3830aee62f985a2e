"""Reading many rows while others have their turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from itertools import islice
from time import perf_counter
from typing import TypeVar

TURN_ROWS = 2048  # then others have their turn: some 4 ms
TURN_S = 0.004

T = TypeVar("T")


async def in_turns(rows: Iterable[T], check: Callable[[], None]) -> AsyncIterator[list[T]]:
    """Yield rows in lists; others run between two, and then check() may raise.

    check: whether the table that is read from is still ours. A few rows take no turn: on a busy
    worker each costs some milliseconds.
    """
    left = iter(rows)
    check()
    while some := list(islice(left, TURN_ROWS)):
        yield some
        if len(some) < TURN_ROWS:
            return
        await asyncio.sleep(0)
        check()


class Turns:
    """Lets others have their turn where TURN_S have passed since they had it."""

    def __init__(self) -> None:
        self._since = perf_counter()

    async def next(self) -> None:
        """Call it between steps of a few milliseconds."""
        if perf_counter() - self._since > TURN_S:
            await asyncio.sleep(0)
            self._since = perf_counter()
