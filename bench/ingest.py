"""How many events a collector takes over HTTP, each acknowledged by Kafka.

PUT /event_generate/ over 64 keep-alive connections, against an aiohttp handler that decodes the
same bodies and answers OK at once; and POST /events with 500 events a request.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from itertools import islice

from app.stack.ports import free_port
from bench.support.backlog import Mix
from bench.support.load_client import Load, Outcome, put_load, request
from bench.support.peer import running
from bench.support.results import Report, options
from bench.support.stack import BenchWorker, Stack

CONNECTIONS = 64
BULK_CONNECTIONS = 8
BULK = 500  # events a request
BULK_REQUESTS = 20  # different ones
PUTS = 2000  # different ones


class Bench:
    """One run of this script."""

    def __init__(self, stack: Stack, report: Report, chosen: argparse.Namespace) -> None:
        self._report, self._seconds = report, chosen.seconds
        self._log = stack.folder / "logs" / "load.log"
        mix = Mix(BULK * BULK_REQUESTS, 1000, chosen.seed)
        bodies = list(mix.values(time.time()))
        self._puts = [request("PUT", "/event_generate/", b) for b in islice(bodies, PUTS)]
        self._bulk = [
            request("POST", "/events", b"[" + b",".join(bodies[at : at + BULK]) + b"]")
            for at in range(0, len(bodies), BULK)
        ]

    async def repeat(self, collector: BenchWorker, bare_port: int) -> None:
        """Measure all of them once, one after the other."""
        bare = await self._put(bare_port)
        self._report.figure("bare handler: PUT, nothing stored", bare.per_second, "req/s")
        began = collector.cpu_s()
        put = await self._put(collector.port)
        self._report.figure("collector: PUT, acknowledged", put.per_second, "events/s")
        self._report.figure("collector: PUT, latency p50", put.p50_ms, "ms")
        self._report.figure("collector: PUT, latency p99", put.p99_ms, "ms")
        used = (collector.cpu_s() - began) / (self._seconds + 1) * 100
        self._report.figure("collector: CPU while PUT", used, "% of a core")
        self._report.check(
            "collector PUT / bare handler", put.per_second / bare.per_second, at_least=0.6
        )
        bulk = await put_load(
            Load(
                collector.port,
                BULK_CONNECTIONS,
                self._seconds,
                self._bulk,
                must_hold=f'"accepted":{BULK},"rejected":0'.encode(),
            ),
            self._log,
        )
        rate = bulk.per_second * BULK
        self._report.figure(f"collector: POST /events, {BULK} each", rate, "events/s")
        self._report.check("POST /events / PUT, events", rate / put.per_second, at_least=10)

    async def _put(self, port: int) -> Outcome:
        return await put_load(Load(port, CONNECTIONS, self._seconds, self._puts), self._log)


async def main() -> None:
    """Measure, print, write."""
    parser = options(__doc__, repeats=5)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.seconds, chosen.repeats = 2.0, 1
    report = Report("ingest", chosen)
    report.note(
        "Load client, collector and Kafka share the cores; the bare handler needs no Kafka."
    )
    async with Stack() as stack:
        bench = Bench(stack, report, chosen)
        settings = await stack.settings()
        port = free_port()
        log = stack.folder / "logs" / "bare.log"
        async with (
            stack.worker(settings, "collect") as collector,
            running("bench.peers.bare_http", log, given={"port": port}) as bare,
        ):
            await bare.says()
            for _ in report.repeats():
                await bench.repeat(collector, port)
    report.save()


if __name__ == "__main__":
    asyncio.run(main())
