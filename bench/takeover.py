"""How long a key is without an answer when a count worker dies, restarts, leaves or joins.

Three count workers with a supervisor's part played here: what is killed is forked again at once,
under its old name. One key of each partition is asked all the while at the collector, as a
dashboard asks. "moved" is the key that waited longest, "stayed" the one that waited least; "keys"
is how many of them waited for over LATE_S: those that moved, and no others.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus

import aiohttp

from app.names import Names
from app.settings import Settings
from app.stack.forked import ForkServer
from app.stack.ports import free_port
from app.stack.workers import worker_settings
from bench.support.backlog import Mix, fill, url
from bench.support.results import Report, options
from bench.support.stack import BenchWorker, Stack
from bench.support.watch import Counted, Offsets, until

WORKERS, LATER = 3, 4  # the fourth joins and leaves
PAUSE_S = 0.02
QUIET_S = 3.0  # all keys are answered for so long before and after
LONG_S = 0.3  # without an answer
LATE_S = 1.0
AWAY_S = 15.0  # until its partitions have moved, surely
TIMEOUT = aiohttp.ClientTimeout(total=5)
PROBES = 16  # keys: some of each partition
KILLED, RESTARTED = "killed with -9, started again", "stopped, started again"
AWAY, BACK, JOINS, LEAVES = "killed with -9", "it is back", "a fourth joins", "it leaves"
TARGETS = {  # s: for what moves, and for what stays
    KILLED: (3, 0.5),
    RESTARTED: (1, 0.5),
    AWAY: (10, 0.5),
    BACK: (2, 0.5),
    JOINS: (2, 0.5),
    LEAVES: (1, 0.5),
}


class Probes:
    """Asks keys without a pause, and remembers when each was answered last."""

    def __init__(self, base: str) -> None:
        self._base = base
        self.longest = dict.fromkeys(range(PROBES), 0.0)
        self._last = dict.fromkeys(range(PROBES), time.perf_counter())
        self._since = time.perf_counter()

    async def run(self) -> None:
        """Ask until cancelled."""
        async with aiohttp.ClientSession(self._base, timeout=TIMEOUT) as http:
            await asyncio.gather(*(self._ask(http, number) for number in range(PROBES)))

    def begin(self) -> None:
        """Forget what was."""
        self._since = time.perf_counter()
        self.longest = dict.fromkeys(self.longest, 0.0)

    async def settled(self) -> None:
        """Wait until nobody has waited for QUIET_S."""
        await asyncio.sleep(QUIET_S)
        await until(self._all_answer, "all keys to be answered")

    async def _all_answer(self) -> bool:
        now = time.perf_counter()
        waiting = any(now - last > LONG_S for last in self._last.values())
        return not waiting and now - self._since > QUIET_S

    async def _ask(self, http: aiohttp.ClientSession, number: int) -> None:
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with http.post("/event_track/", json={"url": url(number)}) as answer:
                    if answer.status == HTTPStatus.OK:
                        self._answered(number)
            await asyncio.sleep(PAUSE_S)

    def _answered(self, number: int) -> None:
        now = time.perf_counter()
        waited, self._last[number] = now - self._last[number], now
        self.longest[number] = max(self.longest[number], waited)
        if waited > LONG_S:
            self._since = now


class Bench:
    """One run of this script."""

    def __init__(self, stack: Stack, report: Report, chosen: argparse.Namespace) -> None:
        self._stack, self._report, self._chosen = stack, report, chosen
        self._server = ForkServer(stack.folder, stack.folder / "logs" / "fork-server.log")

    async def run(self) -> None:
        """Fill the tables, start all, and let everything happen."""
        settings = await self._stack.settings(statistics=self._chosen.statistics)
        ports = [settings.worker_port, *(free_port() for _ in range(LATER - 1))]
        urls = ",".join(f"http://{settings.worker_host}:{port}" for port in ports)
        settings = settings.model_copy(update={"count_urls": urls})
        self._workers = [self._made(settings, n + 1, port) for n, port in enumerate(ports)]
        await self._filled(settings)
        async with self._running(), self._stack.worker(settings, "collect"):
            probes = Probes(f"http://{settings.http_host}:{settings.http_port}")
            asking = asyncio.create_task(probes.run())
            for name, happens in self._happenings().items():
                await probes.settled()
                probes.begin()
                await happens()
                await probes.settled()
                waited = sorted(probes.longest.values())
                for kind, longest, most in zip(
                    ("moved", "stayed"), (waited[-1], waited[0]), TARGETS[name], strict=True
                ):
                    self._report.check(f"{name}: {kind}", longest, "s", at_most=most)
                late = sum(wait > LATE_S for wait in waited)
                self._report.figure(f"{name}: keys", late, f"of {PROBES}")
            asking.cancel()

    def _happenings(self) -> dict[str, Callable[[], Awaitable[None]]]:
        second, fourth = self._workers[1], self._workers[LATER - 1]

        async def killed() -> None:
            second.child.kill()
            await self._start(second)

        async def restarted() -> None:
            second.child.signal(signal.SIGTERM)
            await until(_has_ended(second), "the end")
            await self._start(second)

        async def held_down() -> None:
            second.child.kill()
            await asyncio.sleep(AWAY_S)

        return {
            KILLED: killed,
            RESTARTED: restarted,
            AWAY: held_down,
            BACK: lambda: self._start(second),
            JOINS: lambda: self._start(fourth),
            LEAVES: fourth.stop,
        }

    async def _filled(self, settings: Settings) -> None:
        """Count events of all keys."""
        names, keys = Names(settings.namespace), self._chosen.keys
        mix = Mix(keys, 0, self._chosen.seed)
        await fill(settings.kafka, names.events, settings.events_partitions, mix)
        async with (
            Offsets(self._stack.admin, settings.kafka, names.count_group, names.events) as offsets,
            self._running(),
            Counted(self._workers[0].url) as counted,
        ):
            await offsets.all_committed()
            await counted.complete(mix.events, {})

    @contextlib.asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        try:
            self._server.start()
            await self._server.loaded()
            await asyncio.gather(*map(self._start, self._workers[:WORKERS]))
            yield
        finally:
            await asyncio.gather(*(worker.stop() for worker in self._workers))
            self._server.kill()

    async def _start(self, worker: BenchWorker) -> None:
        worker.start()
        await worker.ready_at(120)

    def _made(self, settings: Settings, number: int, port: int) -> BenchWorker:
        own = worker_settings(settings, "count", f"count-{number}", port)
        log = self._stack.folder / "logs" / f"count-{number}.log"
        return BenchWorker(own, log, self._server)


def _has_ended(worker: BenchWorker) -> Callable[[], Awaitable[bool]]:
    async def ended() -> bool:
        return not worker.child.alive()

    return ended


async def main() -> None:
    """Measure, print, write."""
    parser = options(__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--statistics", action="store_true")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.keys, chosen.repeats = 20_000, 1
    report = Report("takeover", chosen)
    async with Stack() as stack:
        for _ in report.repeats():
            await Bench(stack, report, chosen).run()
    report.save()


if __name__ == "__main__":
    asyncio.run(main())
