"""The memory of a count worker: flat over many events of few keys, and by the number of keys."""

from __future__ import annotations

import argparse
import asyncio

from app.names import Names
from app.settings import Settings
from bench.support.backlog import Mix, fill
from bench.support.results import Report, options
from bench.support.stack import BenchWorker, Stack
from bench.support.watch import Offsets

FLAT_KEYS = 1_000
STEPS = 10
KEYS = (100, 10_000, 100_000, 1_000_000)
IDLE_S = 2.0


class Bench:
    """One run of this script."""

    def __init__(self, stack: Stack, report: Report, chosen: argparse.Namespace) -> None:
        self._stack, self._report, self._chosen = stack, report, chosen

    async def flat(self, repeat: int) -> None:
        """Count the events in ten steps, and look after each."""
        settings = await self._stack.settings()
        step = self._chosen.events // STEPS
        found = []
        async with self._stack.worker(settings, "count") as worker:
            for number in range(STEPS):
                mix = Mix(step, FLAT_KEYS, self._chosen.seed + repeat * STEPS + number)
                found.append(await self._count(settings, worker, mix))
                name = f"{FLAT_KEYS:,} keys, after {step * (number + 1):,} events"
                self._report.figure(name, found[-1], "MB")
        half = found[: STEPS // 2], found[STEPS // 2 :]
        self._report.check(
            "most of the last five steps / most of the first five",
            max(half[1]) / max(half[0]),
            at_most=1.1,
        )
        await self._stack.clear(settings)

    async def by_keys(self, keys: int) -> None:
        """Count a backlog of so many keys with a new worker, then as many events again."""
        settings = await self._stack.settings()
        events = max(keys, self._chosen.events // STEPS)
        async with self._stack.worker(settings, "count") as worker:
            for words in ("once", "twice the events"):
                mix = Mix(events, 0 if keys == events else keys, self._chosen.seed)
                memory = await self._count(settings, worker, mix)
                self._report.figure(f"{keys:,} keys, {events:,} events, {words}", memory, "MB")
        await self._stack.clear(settings)

    async def _count(self, settings: Settings, worker: BenchWorker, mix: Mix) -> float:
        """Let the worker count a backlog; return its memory in MB when it has nothing to do."""
        names = Names(settings.namespace)
        await fill(settings.kafka, names.events, settings.events_partitions, mix)
        for topic in (names.events, names.counts):
            group = names.count_group
            async with Offsets(self._stack.admin, settings.kafka, group, topic) as offsets:
                await offsets.all_committed()
        await asyncio.sleep(IDLE_S)
        return worker.memory_mb()


async def main() -> None:
    """Measure, print, write."""
    parser = options(__doc__, repeats=1)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--keys", type=int, nargs="*", default=KEYS)
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.events, chosen.keys = 500_000, (100, 10_000)
    report = Report("memory", chosen)
    report.note("Statistics are off: the four counters alone; bench.statistics has the others.")
    async with Stack() as stack:
        bench = Bench(stack, report, chosen)
        for number in report.repeats():
            await bench.flat(number)
            for keys in chosen.keys:
                await bench.by_keys(keys)
    report.save()


if __name__ == "__main__":
    asyncio.run(main())
