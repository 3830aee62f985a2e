"""What a count worker costs at a steady 1,000 events/s, and how fresh its answers are.

The events come through the collector, one a request, as from browsers. First the CPU alone; then
the freshness: from the acknowledgement of an event until /event_track/ shows it, both asked at
the collector.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import time
from collections.abc import Iterator

from app.settings import Settings
from bench.support.backlog import Mix
from bench.support.load_client import Load, put_load, request
from bench.support.results import Report, options, percentile
from bench.support.stack import BenchWorker, Stack
from bench.support.watch import Counted

CONNECTIONS = 16
SETTLE_S = 3.0
PROBES = 2  # events that are waited for at the same time
FIRST_LOOK_S, LOOK_S = 0.03, 0.01


class Bench:
    """One run of this script."""

    def __init__(
        self, stack: Stack, settings: Settings, report: Report, chosen: argparse.Namespace
    ) -> None:
        self._report, self._chosen, self._settings = report, chosen, settings
        self._log = stack.folder / "logs" / "load.log"
        mix = Mix(10_000, 1000, chosen.seed)
        self._requests = [request("PUT", "/event_generate/", b) for b in mix.values(time.time())]
        self._numbers = itertools.count()

    async def load(self) -> None:
        """Send events at the rate until the measurement is over."""
        seconds = self._chosen.seconds + SETTLE_S
        await put_load(
            Load(
                self._settings.http_port,
                CONNECTIONS,
                seconds,
                self._requests,
                warmup_s=0,
                rate=self._chosen.rate,
            ),
            self._log,
        )

    async def cost(self, workers: list[BenchWorker]) -> None:
        """Measure the CPU of the workers under the load alone."""
        seconds = self._chosen.seconds
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.load())
            await asyncio.sleep(SETTLE_S)
            before = [worker.cpu_s() for worker in workers]
            await asyncio.sleep(seconds)
            for worker, used in zip(workers, before, strict=True):
                percent = (worker.cpu_s() - used) / seconds * 100
                name = f"CPU of {worker.name} at {self._chosen.rate:,}/s"
                if worker.settings.role == "count":
                    self._report.check(name, percent, "% of a core", at_most=30)
                else:
                    self._report.figure(name, percent, "% of a core")

    async def freshness(self) -> None:
        """Measure how long acknowledged events take to show."""
        found: list[float] = []
        async with (
            Counted(f"http://127.0.0.1:{self._settings.http_port}") as http,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(self.load())
            await asyncio.sleep(SETTLE_S)
            until = time.perf_counter() + self._chosen.seconds - 1
            for _ in range(PROBES):
                tasks.create_task(self._probe(http, until, found))
        name = f"freshness at {self._chosen.rate:,}/s"
        self._report.check(f"{name}, p50", percentile(found, 50) * 1000, "ms", at_most=150)
        self._report.check(f"{name}, p99", percentile(found, 99) * 1000, "ms", at_most=400)
        self._report.figure(f"{name}, events waited for", len(found), "events")

    async def _probe(self, http: Counted, until: float, found: list[float]) -> None:
        while time.perf_counter() < until:
            url = f"/probe/{next(self._numbers)}"
            await http.put(b'{"type":"VIEW","url":"%b"}' % url.encode())
            acknowledged = time.perf_counter()
            for pause in _pauses():
                await asyncio.sleep(pause)
                if (await http.of_url(url)).get("VIEW"):
                    break
            found.append(time.perf_counter() - acknowledged)


def _pauses() -> Iterator[float]:
    """Yield seconds between looks: few enough that they do not load what they measure."""
    return itertools.chain((FIRST_LOOK_S,), itertools.repeat(LOOK_S))


async def main() -> None:
    """Measure, print, write."""
    parser = options(__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each measurement")
    parser.add_argument("--rate", type=int, default=1000, help="events a second")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.seconds, chosen.repeats = 8.0, 1
    report = Report("steady", chosen)
    report.note("Statistics are off: the four counters alone; bench.statistics has the others.")
    report.note("The count worker also keeps Redis and event_summary up to date, as in run.")
    async with Stack("postgres", "redis") as stack:
        settings = await stack.settings()
        async with (
            stack.worker(settings, "store") as store,
            stack.worker(settings, "count") as count,
            stack.worker(settings, "collect") as collect,
        ):
            bench = Bench(stack, settings, report, chosen)
            for _ in report.repeats():
                await bench.cost([count, store, collect])
                await bench.freshness()
    report.save()


if __name__ == "__main__":
    asyncio.run(main())
