"""What the statistics cost: a backlog counted with and without them, and a steady flow.

The same events twice, by one count worker each: three page views to a click, all with a timestamp
of their own, of 9,973 users with three sessions each. Records are keyed by user, as the collector
does it; with --any-key they have no keys, and are spread over the partitions. Off are the four
counters alone; on are all counters, the rules about bots and clicks, sessions and distinct users.
"""

from __future__ import annotations

import argparse
import asyncio

from app.names import Names
from bench.support.backlog import Mix, fill
from bench.support.feed import flowing
from bench.support.results import Report, options
from bench.support.stack import Stack
from bench.support.watch import Counted, Offsets

KEYS = (100, 100_000, 0)
LEAST = {100: 0.5}  # of the speed without statistics
SETTLE_S = 5.0
RATE = 1000  # events/s


class Bench:
    """One run of this script."""

    def __init__(self, stack: Stack, report: Report, chosen: argparse.Namespace) -> None:
        self._stack, self._report, self._chosen = stack, report, chosen

    async def repeat(self, seed: int) -> None:
        """Measure both, one after the other."""
        for keys in self._chosen.keys:
            mix = Mix(
                self._chosen.events,
                keys,
                seed,
                sessions=True,
                keyed=not self._chosen.any_key,
            )
            off = await self._count(mix, on=False)
            on = await self._count(mix, on=True)
            self._report.check(f"on / off, {mix}", on / off, at_least=LEAST.get(keys))
        if not self._chosen.no_steady:
            await self._steady(seed)

    async def _count(self, mix: Mix, *, on: bool) -> float:
        """Return events per second, from ready until committed and complete."""
        settings = await self._stack.settings(statistics=on)
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
        words = f"statistics {'on' if on else 'off'}, {mix}"
        self._report.figure(f"{words}: CPU", used, "us/event")
        self._report.figure(f"{words}: memory at the end", memory, "MB")
        rate = (mix.events - before) / (max(complete, committed) - ready)
        await self._stack.clear(settings)
        return self._report.figure(words, rate, "events/s")

    async def _steady(self, seed: int) -> None:
        """Measure the CPU of a count worker with statistics at a steady flow."""
        settings = await self._stack.settings(statistics=True)
        seconds, log = self._chosen.seconds, self._stack.folder / "logs" / "feed.log"
        async with (
            self._stack.worker(settings, "count") as worker,
            flowing(settings, RATE, seed, log),
        ):
            await asyncio.sleep(SETTLE_S)
            before = worker.cpu_s()
            await asyncio.sleep(seconds)
            percent = (worker.cpu_s() - before) / seconds * 100
        name = f"CPU of a count worker with statistics at {RATE:,}/s"
        self._report.check(name, percent, "% of a core", at_most=30)
        await self._stack.clear(settings)


async def main() -> None:
    """Measure, print, write."""
    parser = options(__doc__)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--keys", type=int, nargs="*", default=KEYS, help="0: all distinct")
    parser.add_argument("--seconds", type=float, default=20.0, help="of the steady flow")
    parser.add_argument("--any-key", action="store_true", help="records without keys")
    parser.add_argument("--no-steady", action="store_true", help="only the backlogs")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.events, chosen.seconds, chosen.repeats = 500_000, 8.0, 1
    report = Report("statistics", chosen)
    async with Stack() as stack:
        bench = Bench(stack, report, chosen)
        for number in report.repeats():
            await bench.repeat(chosen.seed + number)
    report.save()


if __name__ == "__main__":
    asyncio.run(main())
