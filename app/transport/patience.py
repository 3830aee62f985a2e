"""Waiting for Kafka as long as it takes, and saying so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from time import monotonic
from typing import Any, TypeVar

T = TypeVar("T")


class HopelessError(TimeoutError):
    """What is waited for cannot come; says why."""


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
