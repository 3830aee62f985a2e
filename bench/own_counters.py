"""What counters of a counters.toml cost: a backlog counted without any, with three, with more.

The same events, by one count worker each, with all statistics. The three: a count by 1,000 keys,
the distinct users of a key, and a sum. Then five more counts of other fields, for each one's cost.
"""

from __future__ import annotations

import argparse
import asyncio

from bench.support.backlog import Mix
from bench.support.counting import BacklogCount, count_backlog
from bench.support.results import Report, options
from bench.support.stack import Stack

THREE = """
[[counter]]
name = "by_category"
key = "category"
window = "1h"
most_keys = 10000

[[counter]]
name = "users_by_type"
key = "type"
measure = "distinct:user_id"
window = "1h"

[[counter]]
name = "amount"
measure = "sum:value"
window = "1h"
"""
FIELDS = ("app_name", "category", "type", "website", "user_id")
MORE = "".join(
    f'\n[[counter]]\nname = "more_{field}"\nkey = "{field}"\nlabel = "app_name"\nwindow = "1d"\n'
    for field in FIELDS
)


class Bench:
    """One run of this script."""

    def __init__(self, stack: Stack, report: Report, chosen: argparse.Namespace) -> None:
        self._stack, self._report, self._chosen = stack, report, chosen

    async def repeat(self, seed: int) -> None:
        """Measure all, one after the other."""
        mix = Mix(self._chosen.events, self._chosen.keys, seed, own=True)
        none = await self._count(mix, "no counters of your own", "")
        three = await self._count(mix, "three", THREE)
        more = await self._count(mix, f"three and {len(FIELDS)} more", THREE + MORE)
        report = self._report
        report.check(f"three / none, {mix}", three.rate / none.rate, at_least=0.8)
        report.figure(f"CPU of the three, {mix}", three.cpu_us - none.cpu_us, "us/event")
        each = (more.cpu_us - three.cpu_us) / len(FIELDS)
        report.figure(f"CPU of each further one, {mix}", each, "us/event")

    async def _count(self, mix: Mix, words: str, declared: str) -> BacklogCount:
        """Count with the counters of a file."""
        settings = await self._stack.settings(statistics=True)
        if declared:
            file = settings.data_dir.with_suffix(".toml")
            file.write_text(declared, "utf-8")
            settings = settings.model_copy(update={"counters": str(file)})
        return await count_backlog(self._stack, self._report, settings, mix, f"{words}, {mix}")


async def main() -> None:
    """Measure, print, write."""
    parser = options(__doc__)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--keys", type=int, default=100)
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.events, chosen.repeats = 300_000, 1
    report = Report("own_counters", chosen)
    async with Stack() as stack:
        bench = Bench(stack, report, chosen)
        for number in report.repeats():
            await bench.repeat(chosen.seed + number)
    report.save()


if __name__ == "__main__":
    asyncio.run(main())
