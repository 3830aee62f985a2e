"""Work in tasks of its own: that goes on, that may take long, or whose cancel is nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from time import monotonic
from typing import Any, TypeVar

T = TypeVar("T")

STOP_S = 0.1  # between two attempts to cancel


class HopelessError(TimeoutError):
    """What is waited for cannot come; says why."""


class Lasting:
    """Who starts it awaits ended(), so that nothing stands still because a task has ended."""

    def __init__(self, ended: str) -> None:
        """ended: what is so once it has ended by itself, for the error."""
        self._error = ended
        self._tasks: list[asyncio.Task[None]] = []
        self._stopped = False

    def start(self, *work: Coroutine[Any, Any, None]) -> None:
        """Begin."""
        self._tasks = [asyncio.get_running_loop().create_task(one) for one in work]

    async def stop(self) -> None:
        """Cancel it, and wait for its end."""
        self._stopped = True
        while running := [task for task in self._tasks if not task.done()]:
            for task in running:
                task.cancel()  # more than once: aiokafka's client swallows one while it closes
            await asyncio.wait(running, timeout=STOP_S)

    async def ended(self) -> None:
        """Return once it was stopped; raise RuntimeError where some of it ends before that."""
        if not self._tasks:
            return
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        if not self._stopped:
            exc = next((task.exception() for task in done if not task.cancelled()), None)
            raise RuntimeError(self._error) from exc


async def apart(work: Awaitable[None]) -> None:
    """Return when work has ended, cancelled or not; raise what it raises otherwise."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task})
    finally:
        task.cancel()
    if not task.cancelled():
        task.result()


async def patiently(
    work: Coroutine[Any, Any, T], look_s: float, gives_up: Callable[[float], Awaitable[bool]]
) -> T:
    """Return what work returns, however long it takes.

    gives_up: asked every look_s seconds with how long it has taken; raises TimeoutError where it
    says so, and what it raises itself. A cancel is passed on.
    """
    task, began = asyncio.ensure_future(work), monotonic()
    try:
        while not (await asyncio.wait({task}, timeout=look_s))[0]:
            if await gives_up(monotonic() - began):
                raise TimeoutError(f"not finished after {monotonic() - began:.0f} s")
        return task.result()
    finally:
        task.cancel()
