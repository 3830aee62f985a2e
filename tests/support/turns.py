"""Counts the turns of the event loop, so that a test can say how work is cut, on any machine."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def turns_of(work: Coroutine[Any, Any, Any]) -> int:
    """Return how often others had their turn while something went on; raise what it raised."""
    task = asyncio.create_task(work)
    turns = 0
    while not task.done():
        turns += 1
        await asyncio.sleep(0)
    await task
    return turns
