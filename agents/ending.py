"""How a worker ends by itself, where what it was started with does not hold any more."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Awaitable, Callable
from math import inf
from typing import Any

INTERVAL_S = 1.0


async def nothing() -> None:
    """Close it."""


def _force_after(seconds: float) -> None:
    timer = threading.Timer(seconds, os._exit, (1,))
    timer.daemon = True
    timer.start()


async def end_when(
    app: Any,
    outdated: Callable[[], Awaitable[str]],
    close: Callable[[], Awaitable[None]] = nothing,
    within_s: float = inf,
) -> None:
    """Ask once a second, and end the worker with SIGTERM once the answer is not empty.

    So what is begun is committed, and whoever keeps the worker starts it. outdated: returns why it
    has to end. close: called at the end. within_s: after so long it ends by force, as if killed.
    """
    try:
        while not app.should_stop:
            if why := await outdated():
                app.log.warning("%s: ending", why)
                if within_s < inf:
                    _force_after(within_s)
                os.kill(os.getpid(), signal.SIGTERM)
                return
            await app.sleep(INTERVAL_S)
    finally:
        await close()
