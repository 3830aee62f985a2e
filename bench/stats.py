"""How fast a collector answers /stats/top_pages and /stats/active_users, beside SQL.

A million page views of the last hour, each of a user of its own, over 100,000 pages. Asked one
after the other, through the collector; each question differs from the ones before, so that none
is answered from what was answered lately. The same questions go to Postgres, which holds the same
events (role store wrote them), and the answers are compared.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import aiohttp
import asyncpg

from app.names import Names
from app.settings import Settings
from bench.support.backlog import SPAN_S, Writer, url
from bench.support.feed import flowing
from bench.support.results import Report, options, percentile
from bench.support.stack import Stack
from bench.support.watch import Counted, until

WINDOW_S = 3600
ASKS = 100
SQL_ASKS = 3
SETTLE_S = 3.0
PAUSE_S = 0.02  # between two questions: a dashboard asks once a second
TARGET_MS = 20.0

TOP_PAGES = """
select url, count(*) from event
where datetime > $1 and datetime <= $2 and type in ('page_view', 'PageView', 'VIEW')
group by url order by 2 desc, 1 limit $3
"""
ACTIVE_USERS = "select count(distinct user_id) from event where datetime > $1 and datetime <= $2"


def views(chosen: argparse.Namespace, end: datetime) -> Iterator[bytes]:
    """Yield page views of the last hour: each page once, then some pages more than others."""
    rng = random.Random(chosen.seed)
    step = timedelta(seconds=SPAN_S / chosen.users)
    for number in range(chosen.users):
        many = number >= chosen.pages
        place = int(chosen.pages * rng.random() ** 3) if many else number
        at = end - (chosen.users - number - 1) * step
        yield (
            f'{{"type":"VIEW","url":"{url(place)}","user_id":"user-{number:07d}"'
            f',"timestamp":"{at:%Y-%m-%dT%H:%M:%S.%f}Z"}}'
        ).encode()


class Bench:
    """One run of this script."""

    def __init__(self, settings: Settings, report: Report, http: aiohttp.ClientSession) -> None:
        self._report, self._http = report, http
        self._url = f"http://127.0.0.1:{settings.http_port}"
        self._dsn = settings.postgres.get_secret_value()
        self._turn = 0

    async def compare(self, at: datetime) -> None:
        """Ask about a fixed moment, of both, and stop where they differ."""
        moment = f"&at={quote(at.isoformat())}"
        pages = (await self._ask(f"/stats/top_pages?window={WINDOW_S}&limit=50{moment}"))["pages"]
        users = await self._ask(f"/stats/active_users?window={WINDOW_S}{moment}")
        connection = await asyncpg.connect(self._dsn)
        try:
            second = at.replace(microsecond=0) + timedelta(seconds=1) - timedelta(microseconds=1)
            span = second - timedelta(seconds=WINDOW_S), second
            took = []
            for _ in range(SQL_ASKS):
                began = time.perf_counter()
                rows = await connection.fetch(TOP_PAGES, *span, 50)
                took.append((time.perf_counter() - began) * 1000)
            self._sql_pages_ms = percentile(took, 50)
            if [tuple(row) for row in rows] != [(p["page"], p["views"]) for p in pages]:
                raise SystemExit("Postgres ranks other pages")
            began = time.perf_counter()
            exact = await connection.fetchval(ACTIVE_USERS, *span)
            self._sql_users_ms = (time.perf_counter() - began) * 1000
        finally:
            await connection.close()
        off = abs(users["active_users"] - exact) / exact
        self._report.figure("SQL top pages", self._sql_pages_ms, "ms")
        self._report.figure("SQL active users", self._sql_users_ms, "ms")
        self._report.figure("active users: difference from SQL", off * 100, "%")
        self._report.figure("active users: stated error", users["error"] * 100, "%")

    async def repeat(self, name: str) -> None:
        """Ask both many times."""
        await self._many(f"top_pages{name}", self._pages, self._sql_pages_ms)
        await self._many(f"active_users{name}", self._users, self._sql_users_ms)

    def _pages(self) -> str:
        self._turn += 1
        return f"/stats/top_pages?window={WINDOW_S}&limit={5 + self._turn % 900}"

    def _users(self) -> str:
        self._turn += 1
        return f"/stats/active_users?window={WINDOW_S - self._turn % 900}"

    async def _many(self, name: str, path: Callable[[], str], sql_ms: float) -> None:
        took = [ms async for ms in self._times(path)]
        median = percentile(took, 50)
        self._report.check(f"{name}: p50", median, "ms", at_most=TARGET_MS)
        self._report.figure(f"{name}: p99", percentile(took, 99), "ms")
        self._report.figure(f"{name}: SQL / p50", sql_ms / median, "x")

    async def _times(self, path: Callable[[], str]) -> AsyncIterator[float]:
        for _ in range(ASKS):
            asked = path()
            began = time.perf_counter()
            await self._ask(asked)
            yield (time.perf_counter() - began) * 1000
            await asyncio.sleep(PAUSE_S)

    async def first(self) -> None:
        """Ask for the first time: what is read then is kept."""
        began = time.perf_counter()
        await self._ask(self._pages())
        self._report.figure("top_pages: first answer", (time.perf_counter() - began) * 1000, "ms")

    async def _ask(self, path: str) -> Any:
        for _ in range(10):
            async with self._http.get(self._url + path) as answer:
                if answer.status == 200:
                    return json.loads(await answer.read())
                text = await answer.text()
                if answer.status != 503:
                    break
        raise SystemExit(f"{path}: {text}")


async def stored(settings: Settings, events: int) -> None:
    """Wait until Postgres has all events, and knows how many."""
    connection = await asyncpg.connect(settings.postgres.get_secret_value())

    async def all_there() -> bool:
        return bool(await connection.fetchval("select count(*) from event") == events)

    try:
        await until(all_there, "the store")
        await connection.execute("vacuum analyze event")
    finally:
        await connection.close()


async def main() -> None:
    """Measure, print, write."""
    parser = options(__doc__, repeats=1)
    parser.add_argument("--users", type=int, default=1_000_000, help="events, one of each")
    parser.add_argument("--pages", type=int, default=100_000)
    parser.add_argument("--rate", type=int, default=2_000, help="events a second, meanwhile")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.users, chosen.pages = 20_000, 5_000
    report = Report("stats", chosen)
    report.note("One count worker; events with distinct users, so the bot rule drops none.")
    async with Stack("postgres") as stack:
        settings = await stack.settings(statistics=True)
        names, end = Names(settings.namespace), datetime.now(UTC)
        async with Writer(settings.kafka, names.events, settings.events_partitions) as writer:
            await writer.write(views(chosen, end))
        async with stack.worker(settings, "store"):
            await stored(settings, chosen.users)
        async with (
            stack.worker(settings, "count") as worker,
            stack.worker(settings, "collect"),
            Counted(worker.url) as counted,
            aiohttp.ClientSession() as http,
        ):
            began = time.perf_counter()
            await counted.complete(chosen.users, {})
            speed = chosen.users / (time.perf_counter() - began)
            report.figure("counted, all statistics on, all keys distinct", speed, "events/s")
            bench = Bench(settings, report, http)
            await bench.first()
            await bench.compare(end)
            await bench.repeat("")
            report.figure("memory of the count worker", worker.memory_mb(), "MB")
            feed = stack.folder / "logs" / "feed.log"
            async with flowing(settings, chosen.rate, chosen.seed, feed):
                await asyncio.sleep(SETTLE_S)
                await bench.repeat(f", {chosen.rate:,} events/s meanwhile")
    report.save()


if __name__ == "__main__":
    asyncio.run(main())
