"""What message_ids cost: a backlog counted with one on every event, and without.

The same events, by one count worker each; statistics are off: the four counters
alone.
"""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import replace

from app.names import Names
from bench.support.backlog import Mix, fill
from bench.support.results import Report, options
from bench.support.stack import Stack
from bench.support.watch import Counted, Offsets


class Bench:
    """One run of this script."""

    def __init__(self, stack: Stack, report: Report, chosen: argparse.Namespace) -> None:
        self._stack, self._report, self._chosen = stack, report, chosen

    async def repeat(self, seed: int) -> None:
        """Measure both, one after the other."""
        without = Mix(self._chosen.events, self._chosen.keys, seed)
        off, on = await self._count(without), await self._count(replace(without, messages=True))
        self._report.check(f"with / without, {without}", on / off, at_least=0.7)

    async def _count(self, mix: Mix) -> float:
        """Return events per second, from ready until committed and complete."""
        settings = await self._stack.settings(statistics=False)
        names, expected = Names(settings.namespace), mix.expected()
        await fill(settings.kafka, names.events, settings.events_partitions, mix)
        async with (
            Offsets(self._stack.admin, settings.kafka, names.count_group, names.events) as offsets,
            self._stack.worker(settings, "count", ready=False) as worker,
            Counted(worker.url) as counted,
        ):
            ready = await worker.ready_at(60)
            before, used = await counted.total(), worker.cpu_s()
            committed = await offsets.all_committed()
            complete = await counted.complete(mix.events, expected)
            used = (worker.cpu_s() - used) / (mix.events - before) * 1e6
            memory = worker.memory_mb()
        words = f"{'with' if mix.messages else 'without'} message_ids, {mix}"
        self._report.figure(f"{words}: CPU", used, "us/event")
        self._report.figure(f"{words}: memory at the end", memory, "MB")
        rate = (mix.events - before) / (max(complete, committed) - ready)
        await self._stack.clear(settings)
        return self._report.figure(words, rate, "events/s")


async def main() -> None:
    """Measure, print, write."""
    parser = options(__doc__)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--keys", type=int, default=100)
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.events, chosen.repeats = 500_000, 1
    report = Report("duplicates", chosen)
    async with Stack() as stack:
        bench = Bench(stack, report, chosen)
        for number in report.repeats():
            await bench.repeat(chosen.seed + number)
    report.save()


if __name__ == "__main__":
    asyncio.run(main())
