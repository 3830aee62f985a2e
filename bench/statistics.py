"""What the statistics cost: a backlog counted with and without them, and a steady flow.

The same events twice, by one count worker each: three page views to a click, all with a timestamp
of their own, of 9,973 users with three sessions each. Records are keyed by user, as the collector
does it; with --any-key they have no keys, and are spread over the partitions. Off are the four
counters alone; on are all counters, the rules about bots and clicks, sessions and distinct users.
"""

from __future__ import annotations

import argparse
import asyncio

from bench.support.backlog import Mix
from bench.support.counting import count_backlog
from bench.support.feed import flowing
from bench.support.results import Report, options
from bench.support.stack import Stack

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
        """Return events per second."""
        settings = await self._stack.settings(statistics=on)
        words = f"statistics {'on' if on else 'off'}, {mix}"
        return (await count_backlog(self._stack, self._report, settings, mix, words)).rate

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
