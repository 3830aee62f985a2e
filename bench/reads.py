"""How long an answer takes that must hold what was just sent, and what a position costs a PUT.

1,000 events/s come through the collector, one a request. Beside them each reader sends an event
with ?position=1 and asks /event_track/ for it at once with min_position; the time is that from the
acknowledgement to the answer. Then PUT with and without position in turn, over 64 connections.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import time
from statistics import median

import aiohttp

from app.settings import Settings
from bench.support.backlog import Mix
from bench.support.costs import put_cost
from bench.support.load_client import Load, put_load, request
from bench.support.results import Report, options, percentile
from bench.support.stack import BenchWorker, Stack

CONNECTIONS, READERS = 16, 8
PUT_CONNECTIONS = 64
SETTLE_S = 3.0
PUT = "/event_generate/"


class Bench:
    """One run of this script."""

    def __init__(
        self,
        stack: Stack,
        settings: Settings,
        collector: BenchWorker,
        report: Report,
        chosen: argparse.Namespace,
    ) -> None:
        self._report, self._chosen, self._port = report, chosen, settings.http_port
        self._collector = collector
        self._log = stack.folder / "logs" / "load.log"
        bodies = list(Mix(10_000, 1000, chosen.seed).values(time.time()))
        self._puts = {
            path: [request("PUT", path, body) for body in bodies]
            for path in (PUT, f"{PUT}?position=1")
        }
        self._numbers = itertools.count()

    async def reads(self) -> None:
        """Measure reads that wait for what was sent."""
        found: list[float] = []
        rate, seconds = self._chosen.rate, self._chosen.seconds
        load = Load(
            self._port, CONNECTIONS, seconds + SETTLE_S, self._puts[PUT], warmup_s=0, rate=rate
        )
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
            tasks.create_task(put_load(load, self._log))
            await asyncio.sleep(SETTLE_S)
            until = time.perf_counter() + seconds - 1
            for _ in range(READERS):
                tasks.create_task(self._read(session, until, found))
        name = f"min_position at {rate:,} events/s"
        self._report.check(f"{name}, p50", percentile(found, 50) * 1000, "ms", at_most=120)
        self._report.check(f"{name}, p99", percentile(found, 99) * 1000, "ms", at_most=250)
        self._report.figure(f"{name}, reads", len(found), "reads")

    async def _read(self, session: aiohttp.ClientSession, until: float, found: list[float]) -> None:
        base = f"http://127.0.0.1:{self._port}"
        while time.perf_counter() < until:
            url = f"/probe/{next(self._numbers)}"
            event = json.dumps({"type": "VIEW", "url": url}).encode()
            async with session.put(f"{base}{PUT}?position=1", data=event) as answer:
                position = answer.headers["X-Event-Position"]
            acknowledged = time.perf_counter()
            asked = f"{base}/event_track/?min_position={position}&wait=10"
            async with session.post(asked, data=json.dumps({"url": url})) as answer:
                events = (await answer.json())["events"]
            found.append(time.perf_counter() - acknowledged)
            if {"type": "VIEW", "count": 1} not in events:
                raise AssertionError(f"{events} lacks the event below {position}")

    async def puts(self) -> None:
        """Measure PUT with and without position in turn, each first as often as last.

        What one costs is the processor time of the collector: how many fit into a second varies by
        more between two turns of the same kind.
        """
        rates: dict[str, list[float]] = {path: [] for path in self._puts}
        costs: dict[str, list[float]] = {path: [] for path in self._puts}
        order = list(self._puts)
        for _ in range(self._chosen.turns):
            for path in order:
                load = Load(
                    self._port, PUT_CONNECTIONS, self._chosen.turn_seconds, self._puts[path]
                )
                rate, cost = await put_cost(load, self._log, self._collector)
                rates[path].append(rate)
                costs[path].append(cost)
            order.reverse()
        for path, name in ((PUT, "PUT"), (f"{PUT}?position=1", "PUT with position")):
            self._report.figure(name, median(rates[path]), "events/s")
            self._report.figure(f"{name}: CPU of the collector", median(costs[path]), "us")
        without, with_position = (median(found) for found in costs.values())
        self._report.check("PUT / PUT with position, CPU", without / with_position, at_least=0.97)


async def main() -> None:
    """Measure, print, write."""
    parser = options(__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="of the reads")
    parser.add_argument("--rate", type=int, default=1000, help="events a second")
    parser.add_argument("--turns", type=int, default=6, help="of PUT, of each kind")
    parser.add_argument("--turn-seconds", type=float, default=4.0, help="of each of them")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.seconds, chosen.turns, chosen.turn_seconds, chosen.repeats = 8.0, 4, 2.0, 1
    report = Report("reads", chosen)
    report.note("Statistics are off: the four counters alone; no Postgres, no Redis.")
    async with Stack() as stack:
        settings = await stack.settings()
        async with (
            stack.worker(settings, "count"),
            stack.worker(settings, "collect") as collector,
        ):
            bench = Bench(stack, settings, collector, report, chosen)
            for _ in report.repeats():
                await bench.reads()
                await bench.puts()
    report.save()


if __name__ == "__main__":
    asyncio.run(main())
