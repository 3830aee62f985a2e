"""How fast a count worker ranks the keys of a declared counter over a month.

One event of each key and day, of the last 31 days: 100,000 keys are 3.1 million rows. Asked one
after the other, without a collector; each question differs from the ones before, so that none is
answered from what was answered lately. Meanwhile events of the counter flow, a thousand a second.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from app.names import Names
from bench.support.backlog import Writer
from bench.support.results import Report, options, percentile
from bench.support.stack import BenchWorker, Stack
from bench.support.watch import Counted, Offsets

COUNTERS = """[[counter]]
name = "by_category"
key = "category"
window = "1d"
"""
DAYS = 31
ASKS = 100
PAUSE_S = 0.02
STALL_S = 0.05
FIRST_MS, MEDIAN_MS = 2000.0, 50.0
FLOW, FLOW_PAUSE_S = 100, 0.1  # events, and between two times so many


def events(keys: int, today: datetime) -> Iterator[bytes]:
    """Yield an event of each key and day; of the first keys more, on the last day."""
    for ago in reversed(range(DAYS)):
        stamp = f"{today - timedelta(days=ago):%Y-%m-%dT%H:%M:%SZ}"
        for number in range(keys):
            yield event(number, stamp)
    for number in range(1000):
        yield from [event(number, stamp)] * (number % 100)


def event(number: int, stamp: str) -> bytes:
    """Return an event of a key."""
    return f'{{"type":"VIEW","category":"key {number:06d}","timestamp":"{stamp}"}}'.encode()


class Bench:
    """One run of this script."""

    def __init__(self, worker: BenchWorker, report: Report, keys: int) -> None:
        self._worker, self._report, self._keys = worker, report, keys
        self._turn = 0

    async def first(self, http: aiohttp.ClientSession) -> None:
        """Ask for the first time: what is read then is kept."""
        before, began = await self._stalls(http), time.perf_counter()
        keys = (await self._ask(http))["keys"]
        took = (time.perf_counter() - began) * 1000
        if [one["value"] for one in keys[:2]] != [DAYS + 99, DAYS + 99]:
            raise SystemExit(f"other keys are the first: {keys[:2]}")
        self._report.check("first answer", took, "ms", at_most=FIRST_MS)
        await self._told(http, "turns over 50 ms meanwhile", before)

    async def many(self, http: aiohttp.ClientSession, name: str) -> None:
        """Ask many times."""
        took, before = list[float](), await self._stalls(http)
        for _ in range(ASKS):
            began = time.perf_counter()
            await self._ask(http)
            took.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(PAUSE_S)
        self._report.check(f"once warm{name}: p50", percentile(took, 50), "ms", at_most=MEDIAN_MS)
        self._report.figure(f"once warm{name}: p99", percentile(took, 99), "ms")
        await self._told(http, f"once warm{name}: turns over 50 ms", before)

    async def _ask(self, http: aiohttp.ClientSession) -> Any:
        self._turn += 1
        begin = datetime.now(UTC) - timedelta(days=DAYS - 1)
        path = f"/counts/by_category/top?limit={10 + self._turn}&from={begin:%Y-%m-%dT00:00:00Z}"
        while True:
            async with http.get(self._worker.url + path) as answer:
                if answer.status == 200:
                    return json.loads(await answer.read())
                if answer.status != 503:
                    raise SystemExit(f"{path}: {await answer.text()}")

    async def _stalls(self, http: aiohttp.ClientSession) -> int:
        """Return how often the loop of the worker stood still for over 50 ms."""
        async with http.get(f"{self._worker.url}/metrics") as answer:
            text = await answer.text()
        below = {
            sample.labels.get("le", ""): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "event_counter_loop_stall_seconds_bucket"
        }
        return int(below["+Inf"] - below[str(STALL_S)])

    async def _told(self, http: aiohttp.ClientSession, name: str, before: int) -> None:
        self._report.check(name, await self._stalls(http) - before, "", at_most=0)


async def flow(writer: Writer, keys: int) -> None:
    """Send events of now until cancelled."""
    number = 0
    while True:
        stamp = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        await writer.write(event((number + n) * 7919 % keys, stamp) for n in range(FLOW))
        number += FLOW
        await asyncio.sleep(FLOW_PAUSE_S)


async def main() -> None:
    """Measure, print, write."""
    parser = options(__doc__, repeats=1)
    parser.add_argument("--keys", type=int, default=100_000)
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.keys = 5_000
    report = Report("top_keys", chosen)
    report.note("One count worker, statistics off; the worker itself is asked.")
    async with Stack() as stack:
        settings = await stack.settings()
        file = stack.folder / "counters.toml"
        file.write_text(COUNTERS, "utf-8")
        settings = settings.model_copy(update={"counters": str(file)})
        names, today = Names(settings.namespace), datetime.now(UTC)
        backlog = list(events(chosen.keys, today))
        async with (
            Writer(settings.kafka, names.events, settings.events_partitions) as writer,
            stack.worker(settings, "count") as worker,
            Counted(worker.url) as counted,
            Offsets(stack.admin, settings.kafka, names.count_group, names.counts) as merged,
            aiohttp.ClientSession() as http,
        ):
            await writer.write(backlog)
            await counted.complete(len(backlog), {})
            await merged.all_committed()  # of this counter, too: the backlog is over
            bench = Bench(worker, report, chosen.keys)
            await bench.first(http)
            await bench.many(http, "")
            flowing = asyncio.create_task(flow(writer, chosen.keys))
            await bench.many(http, ", 1,000 events/s meanwhile")
            flowing.cancel()
            report.figure("memory of the count worker", worker.memory_mb(), "MB")
    report.save()


if __name__ == "__main__":
    asyncio.run(main())
