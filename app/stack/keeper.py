"""Keep a process running: start it again when it ends, slower only if it ends again and again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from app.errors import reason
from app.stack.child import Child

CHECK_S = 0.1
ROTATE_S = 1.0
STABLE_S = 60.0  # a process that lived longer is started again at once
PAUSE_S, PAUSE_MAX_S = 1.0, 30.0  # each start of a worker costs its group a rebalance


def pause_before(quick_deaths: int) -> float:
    """Return the seconds to wait after so many deaths in a row, each within STABLE_S.

    None after the first, then 1, 2, 4 and so on.
    """
    if quick_deaths <= 1:
        return 0.0
    return min(PAUSE_S * 2.0 ** min(quick_deaths - 2, 10), PAUSE_MAX_S)


class Keeper:
    """Watches one process."""

    def __init__(
        self, child: Child, start: Callable[[], Awaitable[object]], say: Callable[[str], None]
    ) -> None:
        """start: starts it again; say: told about each death and start."""
        self.child = child
        self.restarts = 0
        self.quick_deaths = 0
        self._start = start
        self._say = say

    async def run(self) -> None:
        """Never returns; cancel it before the process is stopped on purpose."""
        name, failed = self.child.name, ""
        while True:
            lived = 0.0 if failed else await self._lived()
            self.quick_deaths = self.quick_deaths + 1 if lived < STABLE_S else 0
            pause = pause_before(self.quick_deaths)
            later = f" in {pause:.1f} s" if pause else ""
            ended = failed or f"{name} ended with {self.child.exit_code()}"
            self._say(f"{ended}; starting it again{later}")
            await asyncio.sleep(pause)
            self.restarts += 1
            failed = await self._failure()
            if not failed:
                self._say(f"{name} started again, process {self.child.pid}")

    async def _lived(self) -> float:
        """Return once the process has ended, with the seconds that it took."""
        started = rotated = time.monotonic()
        while self.child.alive():
            await asyncio.sleep(CHECK_S)
            if time.monotonic() - rotated > ROTATE_S:
                await self._rotate_log()
                rotated = time.monotonic()
        return time.monotonic() - started

    async def _failure(self) -> str:
        """Start the process; return why that failed, in one line, or nothing."""
        try:
            await self._start()
        except Exception as exc:  # noqa: BLE001 - it must not end what keeps all the others
            return f"{self.child.name}: {reason(exc)}"
        return ""

    async def _rotate_log(self) -> None:
        try:
            await asyncio.to_thread(self.child.rotate_log)
        except OSError as exc:
            self._say(f"{self.child.log} was emptied, and not kept: {exc.strerror}")
