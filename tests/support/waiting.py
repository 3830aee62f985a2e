"""Wait for something instead of sleeping."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

# How many times longer than a deadline says it may take where others have most of the processor.
# Nobody waits longer for it: only what fails does.
BUSY = 3
# How many times as long as asking took it is left alone: a connection to Kafka or a command, 20
# times a second, takes the processor from those that are waited for.
REST, REST_MAX_S = 4, 1.0
SOON_S = 30.0  # where a few seconds are promised: what hangs takes minutes


async def wait_until(
    ask: Callable[[], Any],
    expected: object,
    *,
    deadline_s: float = 20,
    every_s: float = 0.05,
    passing: tuple[type[Exception], ...] = (),
) -> Any:
    """Return what ask() gives once it equals expected; fail with its last value at the deadline.

    ask: a function or coroutine function. expected: a value, or a function that judges one.
    deadline_s: on a quiet machine, see BUSY. every_s: longer where asking takes long, see REST.
    passing: errors of ask that only mean not yet.
    """
    deadline_s *= BUSY
    until = time.monotonic() + deadline_s
    while True:
        asked = time.monotonic()
        try:
            value = ask()
            if inspect.isawaitable(value):
                value = await value
        except passing as exc:
            value = exc
        else:
            if expected(value) if callable(expected) else value == expected:
                return value
        now = time.monotonic()
        if now > until:
            raise AssertionError(f"after {deadline_s} s still {value!r}, expected {expected!r}")
        await asyncio.sleep(max(every_s, min((now - asked) * REST, REST_MAX_S)))


@asynccontextmanager
async def again_and_again(
    do: Callable[[], Awaitable[object]], pause_s: float
) -> AsyncIterator[None]:
    """Do something over and over while inside; what is begun ends."""
    stop = asyncio.Event()

    async def go_on() -> None:
        while not stop.is_set():
            await do()
            await asyncio.sleep(pause_s)

    going = asyncio.create_task(go_on())
    try:
        yield
    finally:
        stop.set()
        await going
