"""What message_ids cost: a backlog counted with one on every event, and without.

The same events, by one count worker each; statistics are off: the four counters
alone.
"""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import replace

from bench.support.backlog import Mix
from bench.support.counting import count_backlog
from bench.support.results import Report, options
from bench.support.stack import Stack


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
        """Return events per second."""
        settings = await self._stack.settings(statistics=False)
        words = f"{'with' if mix.messages else 'without'} message_ids, {mix}"
        return (await count_backlog(self._stack, self._report, settings, mix, words)).rate


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
