"""What a year costs: queries, refreshes and flushes on the first day, and on the same day after it.

Twice the same day, of 10,000 pages with an event in each hour, counted with all statistics into
tables and event_summary: once into nothing, and once after a year in which each page had an event
in one hour of ten. Then questions, one after the other, and a backlog of events of this hour.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from app.names import Names
from app.settings import Settings
from bench.support.backlog import Mix, Writer, event_json, fill, url
from bench.support.results import Report, options, percentile
from bench.support.stack import BenchWorker, Stack
from bench.support.watch import Counted, Offsets, until

DAY_S, HOUR_S = 86_400, 3600
ASKS = 200
MOST = 1.2  # of what it was on the first day
SUMMARIZED = "select coalesce(sum(count), 0) from event_summary"
FIRST, OLD = "first day", "after a year"


def hours(begin: int, count: int, pages: int, share: float, seed: int) -> Iterator[bytes]:
    """Yield events, hour by hour from `begin` (s since 1970); share: of the pages that have one."""
    rng, number = random.Random(seed), 0
    for hour in range(count):
        stamp = f"{datetime.fromtimestamp(begin + hour * HOUR_S, UTC):%Y-%m-%dT%H:%M:%SZ}"
        for place in range(pages):
            if rng.random() < share:
                number += 1
                yield event_json(number, place, "VIEW", stamp)


class Copy:
    """Tables and event_summary of one history."""

    def __init__(self, stack: Stack, settings: Settings, worker: BenchWorker) -> None:
        self._stack, self._settings, self._worker = stack, settings, worker
        self._events = 0

    async def write(self, events: Iterator[bytes]) -> None:
        """Send events, and wait until they are in the tables and in event_summary."""
        settings, names = self._settings, Names(self._settings.namespace)
        async with Writer(settings.kafka, names.events, settings.events_partitions) as writer:
            await writer.write(self._numbered(events))
        await self.counted()

    def _numbered(self, events: Iterator[bytes]) -> Iterator[bytes]:
        for event in events:
            self._events += 1
            yield event

    async def backlog(self, mix: Mix) -> float:
        """Count events of this hour; return us of CPU an event, refreshes included."""
        settings = self._settings
        before = self._worker.cpu_s()
        await fill(
            settings.kafka, Names(settings.namespace).events, settings.events_partitions, mix
        )
        self._events += mix.events
        await self.counted()
        return (self._worker.cpu_s() - before) / mix.events * 1e6

    async def counted(self) -> None:
        """Wait until all that was sent is counted, committed and summarized."""
        settings, names = self._settings, Names(self._settings.namespace)
        for topic in (names.events, names.counts):
            async with Offsets(
                self._stack.admin, settings.kafka, names.count_group, topic
            ) as offsets:
                await offsets.all_committed()
        async with Counted(self._worker.url) as counted:
            await counted.complete(self._events, {})
        connection = await asyncpg.connect(settings.postgres.get_secret_value())

        async def summarized() -> bool:
            return bool(await connection.fetchval(SUMMARIZED) == self._events)

        try:
            await until(summarized, "event_summary")
        finally:
            await connection.close()

    def sizes(self) -> dict[str, float]:
        """Return MB on disk, of RocksDB and of the changelogs."""
        kafka, mine = self._stack.folder / "kafka", f"{self._settings.namespace}*changelog*"
        logs = [path for path in kafka.rglob(mine) if path.is_dir()]
        return {
            "RocksDB": megabytes(self._settings.data_dir),
            "changelogs": sum(map(megabytes, logs)),
        }


def megabytes(folder: Path) -> float:
    """Return what all files in a folder take of the disk, in MB."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file()) / 1e6


class Questions:
    """What is asked of a collector, each time about another page or window."""

    def __init__(self, settings: Settings, pages: int, seed: int) -> None:
        self._base, self._pages = f"http://127.0.0.1:{settings.http_port}", pages
        self._random = random.Random(seed)

    async def times(self) -> dict[str, float]:
        """Return the median of each in ms."""
        async with aiohttp.ClientSession() as http:
            return {
                name: percentile([await self._ask(http, name) for _ in range(ASKS)], 50)
                for name in self._made(0)
            }

    def _made(self, turn: int) -> dict[str, tuple[str, dict[str, str] | None]]:
        """Return {name: (path, body of a POST)}."""
        page, now = url(self._random.randrange(self._pages)), datetime.now(UTC)
        day = f"from={now - timedelta(days=1):%Y-%m-%dT%H:00:00Z}&to={now:%Y-%m-%dT%H:00:00Z}"
        return {
            "/event_track/": ("/event_track/", {"url": page}),
            "/event_report/ of today": ("/event_report/", {"url": page, "date": f"{now:%F}"}),
            "hours of a day": (f"/counts/events_by_url_hourly?key={page}&{day}", None),
            "events by type": ("/counts/events_by_type?key=", None),
            "top pages of an hour": (f"/stats/top_pages?window=3600&limit={5 + turn % 900}", None),
            "active users": (f"/stats/active_users?window={HOUR_S - turn % 900}", None),
        }

    async def _ask(self, http: aiohttp.ClientSession, name: str) -> float:
        path, body = self._made(self._random.randrange(900))[name]
        method, data = ("POST", json.dumps(body)) if body else ("GET", None)
        began = time.perf_counter()
        async with http.request(method, self._base + path, data=data) as answer:
            found: Any = await answer.json()
            if answer.status != 200:
                raise SystemExit(f"{path}: {found}")
        return (time.perf_counter() - began) * 1000


async def measured(
    stack: Stack, report: Report, chosen: argparse.Namespace, words: str, days: int
) -> dict[str, float]:
    """Return what questions (ms) and events (us) cost after so many days and the last one."""
    settings = await stack.settings(statistics=True)
    now = int(time.time())
    today = now - now % HOUR_S - DAY_S
    async with (
        stack.worker(settings, "count") as worker,
        stack.worker(settings, "collect"),
    ):
        copy = Copy(stack, settings, worker)
        if days:
            year = hours(today - days * DAY_S, days * 24, chosen.pages, chosen.share, chosen.seed)
            await copy.write(year)
        await copy.write(hours(today, 24, chosen.pages, 1.0, chosen.seed))
        found = {}
        for turn in ("the first time", "again"):  # some rows are read, summed and kept
            mix = Mix(chosen.events, chosen.pages, chosen.seed, sessions=True)
            found["CPU of an event, refreshes included"] = await copy.backlog(mix)
            found |= await Questions(settings, chosen.pages, chosen.seed).times()
            for name, value in found.items():
                unit = "us" if name.startswith("CPU") else "ms"
                report.figure(f"{words}, {turn}: {name}", value, unit)
        report.figure(f"{words}: memory of the count worker", worker.memory_mb(), "MB")
        for name, size in copy.sizes().items():
            report.figure(f"{words}: {name}", size, "MB")
    await stack.clear(settings)
    return found


async def main() -> None:
    """Measure, print, write."""
    parser = options(__doc__, repeats=1)
    parser.add_argument("--pages", type=int, default=10_000)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--share", type=float, default=0.1, help="of the hours that a page has")
    parser.add_argument("--events", type=int, default=500_000, help="of this hour")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.pages, chosen.days, chosen.events = 1000, 60, 50_000
    report = Report("age", chosen)
    report.note("One count worker, all statistics on, Postgres with event_summary.")
    async with Stack("postgres") as stack:
        for _ in report.repeats():
            first = await measured(stack, report, chosen, FIRST, 0)
            old = await measured(stack, report, chosen, OLD, chosen.days)
            for name, value in old.items():
                report.check(f"{OLD} / {FIRST}: {name}", value / first[name], at_most=MOST)
    report.save()


if __name__ == "__main__":
    asyncio.run(main())
