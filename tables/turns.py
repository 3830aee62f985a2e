"""Reading many rows while others have their turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from itertools import islice
from typing import TypeVar

TURN_ROWS = 2048  # then others have their turn: some 4 ms

T = TypeVar("T")


async def in_turns(rows: Iterable[T], check: Callable[[], None]) -> AsyncIterator[list[T]]:
    """Yield rows in lists; others run before each, and then check() may raise.

    check: whether the table that is read from is still ours.
    """
    left = iter(rows)
    while True:
        await asyncio.sleep(0)
        check()
        if not (some := list(islice(left, TURN_ROWS))):
            return
        yield some
