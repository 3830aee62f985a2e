"""Wait for something instead of sleeping."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any


async def wait_until(
    ask: Callable[[], Any],
    expected: object,
    *,
    deadline_s: float = 10,
    every_s: float = 0.05,
    passing: tuple[type[Exception], ...] = (),
) -> Any:
    """Return what ask() gives once it equals expected; fail with its last value at the deadline.

    ask: a function or coroutine function. expected: a value, or a function that judges one.
    passing: errors of ask that only mean not yet.
    """
    until = time.monotonic() + deadline_s
    while True:
        try:
            value = ask()
            if inspect.isawaitable(value):
                value = await value
        except passing as exc:
            value = exc
        else:
            if expected(value) if callable(expected) else value == expected:
                return value
        if time.monotonic() > until:
            raise AssertionError(f"after {deadline_s} s still {value!r}, expected {expected!r}")
        await asyncio.sleep(every_s)
