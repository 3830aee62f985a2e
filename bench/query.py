"""How fast a collector answers /event_track/ and /event_report/ while 10,000 events/s flow.

64 keep-alive connections, through the collector to a count worker that counts these events. Beside
it an aiohttp handler that decodes the same bodies and answers OK at once, with the same flow of
events on the machine, and without it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from datetime import UTC, datetime

from app.names import Names
from app.settings import Settings
from app.stack.ports import free_port
from bench.support.backlog import Mix, fill, url
from bench.support.feed import flowing
from bench.support.load_client import Load, Outcome, put_load, request
from bench.support.peer import running
from bench.support.results import Report, options
from bench.support.stack import Stack
from bench.support.watch import Counted

CONNECTIONS = 64
CALM_RATE = 500  # requests a second: a latency without a queue of 64 before each
PAGES = 1000
SETTLE_S = 3.0


class Bench:
    """One run of this script."""

    def __init__(
        self, stack: Stack, settings: Settings, report: Report, chosen: argparse.Namespace
    ) -> None:
        self._stack, self._settings = stack, settings
        self._report, self._chosen = report, chosen
        self._log = stack.folder / "logs" / "load.log"
        today = f"{datetime.now(UTC):%Y-%m-%d}"
        self._requests = {
            "/event_track/": [_post("/event_track/", url=url(n)) for n in range(PAGES)],
            "/event_report/": [
                _post("/event_report/", url=url(n), date=today) for n in range(PAGES)
            ],
        }

    async def repeat(self, bare_port: int) -> None:
        """Measure all of them once, one after the other."""
        settings, rate = self._settings, self._chosen.rate
        quiet = await self._load(bare_port, "/event_track/")
        self._report.figure("bare handler, nothing else runs", quiet.per_second, "req/s")
        feed = self._stack.folder / "logs" / "feed.log"
        async with flowing(settings, rate, self._chosen.seed, feed), self._counted() as counted:
            await asyncio.sleep(SETTLE_S)
            for path in self._requests:
                bare = await self._load(bare_port, path)
                name = f"bare handler, same flow, bodies of {path}"
                self._report.figure(name, bare.per_second, "req/s")
                before, began = await counted.total(), asyncio.get_running_loop().time()
                found = await self._load(settings.http_port, path)
                seconds = asyncio.get_running_loop().time() - began
                counts = (await counted.total() - before) / seconds
                self._report.figure(f"{path}: events counted meanwhile", counts, "events/s")
                self._tell(path, found, bare, quiet)
                calm = await self._load(settings.http_port, path, CALM_RATE)
                self._report.figure(f"{path}: p99 at {CALM_RATE} req/s", calm.p99_ms, "ms")

    def _tell(self, path: str, found: Outcome, bare: Outcome, quiet: Outcome) -> None:
        self._report.figure(f"{path}: collector", found.per_second, "req/s")
        self._report.check(
            f"{path}: collector / bare handler, same flow",
            found.per_second / bare.per_second,
            at_least=0.4,
        )
        self._report.figure(
            f"{path}: collector / bare handler, nothing else runs",
            found.per_second / quiet.per_second,
            "x",
        )
        self._report.figure(f"{path}: p50, {CONNECTIONS} connections", found.p50_ms, "ms")
        self._report.check(
            f"{path}: p99, {CONNECTIONS} connections", found.p99_ms, "ms", at_most=25
        )

    def _counted(self) -> Counted:
        return Counted(f"http://127.0.0.1:{self._settings.worker_port}")

    async def _load(self, port: int, path: str, rate: float = 0.0) -> Outcome:
        seconds = self._chosen.seconds
        load = Load(port, CONNECTIONS, seconds, self._requests[path], rate=rate)
        return await put_load(load, self._log)


def _post(path: str, **body: str) -> bytes:
    return request("POST", path, json.dumps(body).encode())


async def main() -> None:
    """Measure, print, write."""
    parser = options(__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    parser.add_argument("--rate", type=int, default=10_000, help="events a second")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.seconds, chosen.repeats = 2.0, 1
    report = Report("query", chosen)
    report.note("Statistics are off: the four counters alone; bench.statistics has the others.")
    report.note(
        "One count worker, without Postgres and Redis; load, feed and Kafka share the cores."
    )
    async with Stack() as stack:
        settings = await stack.settings()
        names, port = Names(settings.namespace), free_port()
        mix = Mix(20_000, PAGES, chosen.seed)
        await fill(settings.kafka, names.events, settings.events_partitions, mix)
        log = stack.folder / "logs" / "bare.log"
        async with (
            stack.worker(settings, "count"),
            stack.worker(settings, "collect"),
            running("bench.peers.bare_http", log, given={"port": port}) as bare,
        ):
            await bare.says()
            bench = Bench(stack, settings, report, chosen)
            for _ in report.repeats():
                await bench.repeat(port)
    report.save()


if __name__ == "__main__":
    asyncio.run(main())
