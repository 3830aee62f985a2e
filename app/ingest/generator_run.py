"""Sends generated events at a rate, and tells the truth about it."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from app.ingest.generator import Generator
from app.ingest.generator_targets import NotTakenError, Target

BATCHES_PER_S = 20
BATCH_MAX = 5000  # events; about half a megabyte
ON_WAY_MAX = 8  # batches; more only wait elsewhere
DEBT_MAX_S = 1.0  # of events not sent in time that are made up for; the rest is left out
ON_TIME = 0.98  # of the rate asked for


class Pace:
    """How many events should be sent by now.

    rate: events per second. seconds: for how long; None: without end.
    """

    def __init__(self, rate: int, seconds: float | None = None) -> None:
        self.rate = rate
        self._total = None if seconds is None else math.ceil(rate * seconds)
        self._given = 0  # sent, or left out for being late

    @property
    def batch(self) -> int:
        """How many events go together."""
        return max(1, min(BATCH_MAX, self.rate // BATCHES_PER_S))

    def due(self, elapsed_s: float) -> int:
        """Return the size of the next batch, 0 before its time."""
        wanted = int(elapsed_s * self.rate)
        if self._total is not None:
            wanted = min(wanted, self._total)
        if (excess := wanted - self._given - int(DEBT_MAX_S * self.rate) - self.batch) > 0:
            self._given += excess
        size = min(self.batch, wanted - self._given)
        if size < self.batch and wanted != self._total:
            return 0
        self._given += size
        return size

    def wait_s(self, elapsed_s: float) -> float:
        """Return the seconds until the next batch is due."""
        return max(0.0, (self._given + self.batch) / self.rate - elapsed_s)

    def was_kept(self, sent: int, sending_s: float) -> bool:
        """Whether the rate was reached, but for the last batch; sending_s: until it went out."""
        return sent >= ON_TIME * self.rate * sending_s - self.batch

    def is_over(self, elapsed_s: float) -> bool:
        """Whether all was given out, or the time has passed and what is late stays late."""
        if self._total is None:
            return False
        return self._given >= self._total or elapsed_s > self._total / self.rate + DEBT_MAX_S


@dataclass
class Tally:
    """What became of the events; failed: not acknowledged.

    sending_s: seconds until the last batch went out. seconds: until its answer.
    """

    sent: int = 0
    acknowledged: int = 0
    rejected: int = 0
    failed: int = 0
    sending_s: float = 0.0
    seconds: float = 0.0
    reason: str = ""

    @property
    def rate(self) -> float:
        """Acknowledged events per second."""
        return self.acknowledged / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        text = f"sent {self.sent}, acknowledged {self.acknowledged}, {self.rate:.0f} events/s"
        for name in ("rejected", "failed"):
            if found := getattr(self, name):
                text += f", {name} {found}"
        return text


class Load:
    """One run; tally tells how far it is."""

    def __init__(self, generator: Generator, target: Target, pace: Pace) -> None:
        self.tally = Tally()
        self._generator, self._target, self._pace = generator, target, pace
        self._room = asyncio.Semaphore(ON_WAY_MAX)
        self._on_way: set[asyncio.Task[None]] = set()
        self._pause_until = 0.0

    async def run(self, stop: asyncio.Event) -> Tally:
        """Send until the time is over or stop is set; then wait for what is on its way."""
        begun = time.monotonic()
        while not stop.is_set() and not self._pace.is_over(time.monotonic() - begun):
            self.tally.seconds = time.monotonic() - begun
            pause_s = self._pause_until - time.monotonic()
            if pause_s > 0:
                await _sleep_or_stop(stop, min(pause_s, 1.0))
            elif size := self._pace.due(time.monotonic() - begun):
                await self._room.acquire()
                self._begin(size)
                await asyncio.sleep(0)
            else:
                await _sleep_or_stop(stop, self._pace.wait_s(time.monotonic() - begun))
        self.tally.sending_s = time.monotonic() - begun
        await asyncio.gather(*self._on_way)
        self.tally.seconds = time.monotonic() - begun
        return self.tally

    def _begin(self, size: int) -> None:
        records = self._generator.events(size, time.time_ns() // 1000)
        self.tally.sent += size
        task = asyncio.create_task(self._send(records))
        self._on_way.add(task)
        task.add_done_callback(self._on_way.discard)

    async def _send(self, records: list[tuple[bytes, bytes, int]]) -> None:
        try:
            taken = await self._target.send(records)
        except NotTakenError as exc:
            self.tally.failed += len(records)
            self.tally.reason = str(exc)
            self._pause_until = max(self._pause_until, time.monotonic() + exc.again_s)
        else:
            self.tally.acknowledged += taken.acknowledged
            self.tally.rejected += taken.rejected
        finally:
            self._room.release()


async def _sleep_or_stop(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


async def show(tally: Tally, say: Callable[[str], None], every_s: float = 1.0) -> None:
    """Say how far it is, again and again."""
    while True:
        await asyncio.sleep(every_s)
        say(str(tally))


def summary(tally: Tally, pace: Pace) -> str:
    """Return the last line: what became of the events, and whether they went out in time."""
    text = (
        f"sent {tally.sent}, acknowledged {tally.acknowledged}, rejected {tally.rejected}, "
        f"failed {tally.failed} in {tally.seconds:.1f} s: {tally.rate:.0f} events/s"
    )
    if tally.reason:
        text += f"; last failure: {tally.reason}"
    if not pace.was_kept(tally.sent, tally.sending_s):
        text += f"; could not keep up with {pace.rate}/s"
    return text
