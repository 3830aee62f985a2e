"""Workers kept running as `event-counter run` keeps them, and killed on purpose."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.settings import Role, Settings
from app.stack.ports import free_port
from app.stack.workers import WorkerProcess, worker_settings
from tests.support.forked import ForkedWorker
from tests.support.waiting import wait_until

CHECK_S = 0.05
FAILED_PAUSE_S = 0.5  # after a worker that ended by itself; it would fail again at once
LOG_TAIL_BYTES = 20_000
PORT_TAKEN = "address already in use"  # by another process of this machine, since it was chosen
ROOT = Path(__file__).parents[2]


class DyingWorker(ForkedWorker):
    """A worker whose processes end as their fates say, one after the other.

    fates: JSON of dying_worker.Fate for the next processes; none left: it lives.
    """

    def __init__(self, settings: Settings, log: Path) -> None:
        super().__init__(settings, log)
        self.fates: list[str] = []
        self._fate = ""

    def start(self) -> None:
        """Start the process; it is not ready yet."""
        self.settings.data_dir.mkdir(parents=True, exist_ok=True)
        self._fate = self.fates.pop(0) if self.fates else ""
        command = [sys.executable, "-m", "tests.support.dying_worker", self.settings.role]
        own = {"DYING_WORKER_FATE": self._fate, "PYTHONPATH": str(ROOT)}
        self.child.spawn(command, {**os.environ, **self.settings.to_env(), **own})

    @property
    def met_its_fate(self) -> bool:
        """Whether the last process ended as it should."""
        return bool(self._fate) and self.child.exit_code() == -signal.SIGKILL


class Member:
    """A worker that is started again when it ends, until it is told to leave."""

    def __init__(self, worker: WorkerProcess, tally: Tally) -> None:
        self.worker, self._tally = worker, tally
        self._keeping: asyncio.Task[None] | None = None
        self._wipe = self._expected = False
        self.deaths = 0

    @property
    def name(self) -> str:
        """The worker's name."""
        return self.worker.name

    def join(self) -> None:
        """Start it, and keep it running."""
        self._begin()
        self._keeping = asyncio.create_task(self._keep())

    async def leave(self) -> None:
        """End it with SIGTERM; it stays away."""
        await self._unkeep()
        await self.worker.stop()
        self._tally.leaves += 1
        # Killed by the signal: it had just begun, and did not listen yet.
        if (code := self.worker.child.exit_code()) not in (None, 0, -signal.SIGTERM):
            self._tally.surprises.append(f"{self.name} left with {code}")

    async def end(self) -> None:
        """Kill it for good."""
        await self._unkeep()
        self.worker.child.kill()

    def lose_disk(self) -> None:
        """Delete its data directory while it works; what it writes now may be left in part."""
        shutil.rmtree(self.worker.settings.data_dir, ignore_errors=True)
        self._tally.wipes += 1

    def kill(self, *, wipe: bool = False) -> None:
        """Kill -9; wipe: its data directory is gone when it starts again."""
        self._wipe, self._expected = wipe, True
        self.worker.child.kill()
        self._tally.kills += 1

    async def freeze(self, seconds: float) -> None:
        """Stop its process for a while, as a swapping or suspended machine does."""
        self.worker.child.signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        self.worker.child.signal(signal.SIGCONT)
        self._tally.freezes += 1

    async def died(self, times: int) -> None:
        """Return once it was started again so often."""
        while self.deaths < times:
            await asyncio.sleep(CHECK_S)

    def wipe_next(self) -> None:
        """Its data directory is gone when it starts again."""
        self._wipe = True

    def _begin(self) -> None:
        if self._wipe:
            shutil.rmtree(self.worker.settings.data_dir, ignore_errors=True)
            self._tally.wipes += 1
            self._wipe = False
        self.worker.start()

    async def _keep(self) -> None:
        child = self.worker.child
        while True:
            while child.alive():
                await asyncio.sleep(CHECK_S)
            if isinstance(self.worker, DyingWorker) and self.worker.met_its_fate:
                self._tally.kills += 1
            elif not self._expected:
                error = last_error(child.log)
                if PORT_TAKEN not in error:
                    ended = f"{self.name} ended with {child.exit_code()}"
                    self._tally.surprises.append(f"{ended}: {error or child.last_words()}")
                await asyncio.sleep(FAILED_PAUSE_S)
            self._expected = False
            self._begin()
            self.deaths += 1

    async def _unkeep(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeping
            self._keeping = None


class Tally:
    """What a run did to its processes, and what came of it; surprises: ends nobody asked for."""

    def __init__(self, name: str, seed: int) -> None:
        self.name, self.seed = name, seed
        self.kills = self.wipes = self.leaves = self.freezes = self.outages = 0
        self.events = 0
        self.exact = False
        self.surprises: list[str] = []

    @classmethod
    def of(cls, values: dict[str, Any]) -> Tally:
        """Return the tally whose vars() these are."""
        made = cls("", 0)
        vars(made).update(values)
        return made

    def __str__(self) -> str:
        counts = ("kills", "wipes", "freezes", "leaves", "outages", "events")
        done = ", ".join(f"{name} {n}" for name in counts if (n := getattr(self, name)))
        ended = f", ended by themselves {len(self.surprises)}" if self.surprises else ""
        exact = "yes" if self.exact else "NO"
        return f"{self.name}: {done}{ended}, exact {exact} (KILL_SEED={self.seed})"


class Crew:
    """The workers of one test."""

    def __init__(self, settings: Settings, logs: Path, tally: Tally) -> None:
        self.settings, self.tally = settings, tally
        self._logs = logs
        self.members: list[Member] = []

    def hire(self, role: Role, *, dying: bool = False) -> Member:
        """Return one more worker, not started yet; dying: it can be given a fate."""
        name = f"{role}-{sum(m.worker.settings.role == role for m in self.members) + 1}"
        port = self.settings.http_port if role == "collect" else free_port()
        own = worker_settings(self.settings, role, name, port, ",".join(self.urls))
        make = DyingWorker if dying else ForkedWorker
        member = Member(make(own, self._logs / f"{name}.log"), self.tally)
        self.members.append(member)
        return member

    def hired(self, role: Role) -> Iterator[Member]:
        """Yield the members of a role."""
        return (m for m in self.members if m.worker.settings.role == role)

    @property
    def urls(self) -> list[str]:
        """URLs of the count workers."""
        return [member.worker.url for member in self.hired("count")]

    async def ready(self) -> None:
        """Wait until all that run are ready; one that ends by itself is started again meanwhile."""
        for member in self.members:
            if member.worker.child.alive():
                await wait_until(member.worker.is_ready, expected=True, deadline_s=120)

    async def end(self) -> None:
        """Kill all."""
        for member in self.members:
            await member.end()


def last_error(log: Path) -> str:
    """Return the last line of a log that begins with the name of an exception; empty: none."""
    tail = log.read_bytes()[-LOG_TAIL_BYTES:].decode("utf-8", "replace").splitlines()
    found = [line for line in tail if re.match(r"[\w.]*Error\b|event-counter:", line)]
    return found[-1][:300] if found else ""


def moments(rng: random.Random, count: int, most_s: float) -> Iterator[float]:
    """Yield random pauses in seconds, short ones more often."""
    for _ in range(count):
        yield rng.random() ** 2 * most_s
