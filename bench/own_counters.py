"""What counters of a counters.toml cost: a backlog counted without any, with three, with more.

The same events, by one count worker each, with all statistics. The three: a count by 1,000 keys,
the distinct users of a key, and a sum. Then five more counts of other fields, for each one's cost.
"""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import dataclass

from app.names import Names
from bench.support.backlog import Mix, fill
from bench.support.results import Report, options
from bench.support.stack import Stack
from bench.support.watch import Counted, Offsets

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


@dataclass(frozen=True)
class Measured:
    """rate: events/s. cpu_us: of the worker, per event."""

    rate: float
    cpu_us: float


class Bench:
    """One run of this script."""

    def __init__(self, stack: Stack, report: Report, chosen: argparse.Namespace) -> None:
        self._stack, self._report, self._chosen = stack, report, chosen

    async def repeat(self, seed: int) -> None:
        """Measure all, one after the other."""
        mix = Mix(self._chosen.events, self._chosen.keys, seed, own=True)
        none = await self._count(mix, "no counters of one's own", "")
        three = await self._count(mix, "three", THREE)
        more = await self._count(mix, f"three and {len(FIELDS)} more", THREE + MORE)
        report = self._report
        report.check(f"three / none, {mix}", three.rate / none.rate, at_least=0.8)
        report.figure(f"CPU of the three, {mix}", three.cpu_us - none.cpu_us, "us/event")
        each = (more.cpu_us - three.cpu_us) / len(FIELDS)
        report.figure(f"CPU of each further one, {mix}", each, "us/event")

    async def _count(self, mix: Mix, words: str, declared: str) -> Measured:
        """Count a backlog, from ready until committed and complete."""
        settings = await self._stack.settings(statistics=True)
        if declared:
            file = settings.data_dir.with_suffix(".toml")
            file.write_text(declared, "utf-8")
            settings = settings.model_copy(update={"counters": str(file)})
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
        self._report.figure(f"{words}, {mix}: CPU", used, "us/event")
        rate = (mix.events - before) / (max(complete, committed) - ready)
        await self._stack.clear(settings)
        return Measured(self._report.figure(f"{words}, {mix}", rate, "events/s"), used)


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
