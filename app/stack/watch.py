"""End a worker that hangs: its process is there, and nobody in it answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from app.stack.child import Child

ASK_EVERY_S = 5.0
SILENT_S = 60.0  # far longer than any turn of its event loop, also on a busy machine
SILENT_AT_START_S = 600.0  # before its first answer it may wait for Postgres, or load for long
STEP_MAX_S = 30.0  # of our own clock: what a supervisor that was frozen itself missed is no silence


class Watch:
    """Asks one worker; who ends is started again by its Keeper.

    answers: whether it answers now, within its own time limit.
    """

    def __init__(
        self,
        child: Child,
        answers: Callable[[], Awaitable[bool]],
        say: Callable[[str], None],
        *,
        silent_s: float = SILENT_S,
        every_s: float = ASK_EVERY_S,
    ) -> None:
        self._child, self._answers, self._say = child, answers, say
        self._limit_s, self._every_s = silent_s, every_s

    async def run(self) -> None:
        """Never returns."""
        pid, silent_s, limit_s = 0, 0.0, SILENT_AT_START_S
        while True:
            asked = time.monotonic()
            await asyncio.sleep(self._every_s)
            if self._child.pid != pid:  # none, or a new one
                pid, silent_s, limit_s = self._child.pid, 0.0, SILENT_AT_START_S
            if not pid:
                continue
            if await self._answers():
                silent_s, limit_s = 0.0, self._limit_s
                continue
            silent_s += min(time.monotonic() - asked, STEP_MAX_S)
            if silent_s >= limit_s:
                self._say(f"{self._child.name} has not answered for {silent_s:.0f} s; ending it")
                self._child.kill()
