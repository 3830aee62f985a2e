"""How a worker ends by itself, where what it was started with does not hold any more."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

INTERVAL_S = 1.0


async def end_when(
    app: Any, outdated: Callable[[], Awaitable[str]], close: Callable[[], Awaitable[None]]
) -> None:
    """Ask once a second, and end the worker with SIGTERM once the answer is not empty.

    So what is begun is committed, and whoever keeps the worker starts it. outdated: returns why it
    has to end. close: called at the end.
    """
    try:
        while not app.should_stop:
            if why := await outdated():
                app.log.warning("%s: ending", why)
                os.kill(os.getpid(), signal.SIGTERM)
                return
            await app.sleep(INTERVAL_S)
    finally:
        await close()
