"""What goes wrong in the night: deaths and freezes of anything, again and again."""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from tests.support.running_copy import RunningCopy

COUNTERS = ("count-1", "count-2")
FROZEN_S = 3, 12


class Faults:
    """Breaks one copy after the other; copy: the one that runs. happened: how often what did."""

    def __init__(self, rng: random.Random, say: Callable[[str], None], **settings: Any) -> None:
        self._rng, self._say, self._settings = rng, say, settings
        self.happened: Counter[str] = Counter()
        self.copy = RunningCopy(**settings)

    async def go_on(self, every_s: float) -> None:
        """Break something, wait, and so on, until cancelled; what was begun comes to its end."""
        while True:
            await asyncio.sleep(every_s * self._rng.uniform(0.5, 1.5))
            one = asyncio.create_task(self._one())
            try:
                await asyncio.shield(one)
            except asyncio.CancelledError:
                await one
                raise

    async def _one(self) -> None:
        kind = self._rng.choices(
            [self._kill, self._freeze, self._kill_everything, self._restart], [10, 5, 1, 1]
        )[0]
        what = await kind()
        self.happened[what] += 1
        self._say(what)

    def _choose(self) -> tuple[str, psutil.Process]:
        pids = self.copy.pids()
        name = self._rng.choice([name for name in pids if name != "run"])
        return name, psutil.Process(pids[name])

    async def _kill(self) -> str:
        with suppress(psutil.NoSuchProcess):  # it has died a moment ago
            name, process = self._choose()
            process.kill()
            return f"kill {name}"
        return "kill nobody"

    async def _freeze(self) -> str:
        with suppress(psutil.NoSuchProcess):
            name, process = self._choose()
            process.suspend()
            await asyncio.sleep(self._rng.uniform(*FROZEN_S))
            process.resume()
            return f"freeze {name}"
        return "freeze nobody"

    async def _kill_everything(self) -> str:
        """Kill all; a count worker may lose its disk, too."""
        self.copy.kill_everything()
        what = "kill everything"
        if self._rng.random() < 0.5:
            name = self._rng.choice(COUNTERS)
            shutil.rmtree(Path(self._settings["data_dir"]) / name)
            what += ", wipe a count worker"
        await self.start()
        return what

    async def _restart(self) -> str:
        assert await self.copy.interrupt(signal.SIGTERM) == 0, self.copy.said()
        await self.start()
        return "restart"

    async def start(self) -> None:
        """Start a copy."""
        self.copy = RunningCopy(**self._settings)
        await self.copy.ready(deadline_s=300)
