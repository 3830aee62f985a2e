"""What a hundred open pages cost the collector: its throughput with and without them.

PUT /event_generate/ over 64 keep-alive connections, the dearest way to send events, first with
nobody looking, then with a hundred readers of GET /stream, whose panels a count worker answers.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from itertools import islice
from statistics import fmean

from bench.support.backlog import Mix
from bench.support.load_client import Load, Outcome, put_load, request
from bench.support.results import Report, options
from bench.support.stack import BenchWorker, Stack

CONNECTIONS = 64
PAGES = 100
PUTS = 2000  # different requests
ASK = b"GET /stream HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n"
READ_BYTES = 65_536
SETTLE_S = 2.0  # until each reader has got its first events


class Readers:
    """Open pages; each takes what comes and throws it away."""

    def __init__(self) -> None:
        self.read_bytes = 0
        self.ended = 0

    async def read(self, port: int) -> None:
        """Be one page until cancelled."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(ASK)
        try:
            while text := await reader.read(READ_BYTES):
                self.read_bytes += len(text)
            self.ended += 1
        finally:
            writer.close()

    @contextlib.asynccontextmanager
    async def open(self, port: int, pages: int) -> AsyncIterator[None]:
        """Keep so many pages open while inside."""
        tasks = [asyncio.create_task(self.read(port)) for _ in range(pages)]
        await asyncio.sleep(SETTLE_S)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class Bench:
    """One run of this script."""

    def __init__(self, stack: Stack, report: Report, chosen: argparse.Namespace) -> None:
        self._report, self._seconds = report, chosen.seconds
        self._log = stack.folder / "logs" / "load.log"
        bodies = Mix(PUTS, 1000, chosen.seed).values(time.time())
        self._puts = [request("PUT", "/event_generate/", body) for body in islice(bodies, PUTS)]

    async def repeat(self, collector: BenchWorker) -> None:
        """Measure without, with and again without pages: what comes first or last is no cost."""
        before_them = await self._put(collector)
        readers = Readers()
        async with readers.open(collector.port, PAGES):
            before, began = readers.read_bytes, time.perf_counter()
            watched = await self._put(collector)
            per_s = (readers.read_bytes - before) / (time.perf_counter() - began) / PAGES
        alone = fmean((before_them.per_second, (await self._put(collector)).per_second))
        self._report.figure("no page open, before and after", alone, "events/s")
        self._report.figure(f"{PAGES} pages open", watched.per_second, "events/s")
        self._report.figure("sent to each page", per_s, "bytes/s")
        self._report.check("pages disconnected", readers.ended, "pages", at_most=0)
        ratio = watched.per_second / alone
        self._report.check(f"{PAGES} pages open / no page", ratio, at_least=0.9)
        began = collector.cpu_s()
        async with readers.open(collector.port, PAGES):
            await asyncio.sleep(self._seconds)
        used = (collector.cpu_s() - began) / (self._seconds + SETTLE_S) * 100
        self._report.figure(f"collector: CPU with {PAGES} pages and no events", used, "% of a core")

    async def _put(self, collector: BenchWorker) -> Outcome:
        load = Load(collector.port, CONNECTIONS, self._seconds, self._puts)
        return await put_load(load, self._log)


async def main() -> None:
    """Measure, print, write."""
    parser = options(__doc__, repeats=5)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.seconds, chosen.repeats = 2.0, 1
    report = Report("pages", chosen)
    report.note("Load client, readers, collector, count worker and Kafka share the cores.")
    async with Stack() as stack:
        bench = Bench(stack, report, chosen)
        settings = await stack.settings(statistics=True)
        async with (
            stack.worker(settings, "count"),
            stack.worker(settings, "collect") as collector,
        ):
            for _ in report.repeats():
                await bench.repeat(collector)
    report.save()


if __name__ == "__main__":
    asyncio.run(main())
