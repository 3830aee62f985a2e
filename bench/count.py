"""How fast one count worker counts a backlog into the four declared counters.

Beside it, on the same events or fewer of the same kind: a bare aiokafka loop, a plain Faust agent,
Quix Streams. The clock of each runs from ready to read until its source offsets are committed,
and, for the product, its totals answer with every event.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path

from app.names import Names
from app.settings import Settings
from bench.support.backlog import Mix, fill
from bench.support.peer import running
from bench.support.results import Report, options
from bench.support.stack import Stack
from bench.support.watch import Counted, Offsets

KEYS = (100, 1_000, 100_000, 0)
TARGETS = {100: 0.6, 1_000: 0.4, 100_000: 0.2, 0: 0.2}  # of the loop
FAUST_TARGET, QUIX_TARGET = 100, 10  # stated for 100 keys
MANY_KEYS = (100_000, 0)  # where a second count worker is worth a core
SLOW_PEERS = ("faust", "quix")
QUIX = "bench.peers.quix_count"


class Bench:
    """One run of this script."""

    def __init__(self, stack: Stack, report: Report, chosen: argparse.Namespace) -> None:
        self._stack, self._report, self._chosen = stack, report, chosen

    async def repeat(self, keys: int, seed: int) -> None:
        """Measure all of them once, one after the other."""
        big = Mix(self._chosen.events, keys, seed)
        settings = await self._stack.settings()
        names = Names(settings.namespace)
        await fill(settings.kafka, names.events, settings.events_partitions, big)
        loop = await self._loop(settings, big)
        product = await self._product(settings, big)
        self._report.check(f"product / loop, {big}", product / loop, at_least=TARGETS[keys])
        await self._stack.clear(settings)
        if keys in MANY_KEYS:
            await self._two_workers(big, loop)
        for peer, measure, target in (
            ("faust", self._faust, FAUST_TARGET),
            ("quix", self._quix, QUIX_TARGET),
        ):
            if peer in self._chosen.without:
                continue
            small = Mix(getattr(self._chosen, f"{peer}_events"), keys, seed)
            settings = await self._stack.settings()
            topic = Names(settings.namespace).events
            await fill(settings.kafka, topic, settings.events_partitions, small)
            rate = await measure(settings, small)
            self._report.check(
                f"product / {peer}, {big}", product / rate, at_least=target if keys == 100 else None
            )
            await self._stack.clear(settings)

    async def _two_workers(self, mix: Mix, loop: float) -> None:
        """Measure two count workers, a core each, on the same events in another topic."""
        settings = await self._stack.settings()
        names, expected = Names(settings.namespace), mix.expected()
        await fill(settings.kafka, names.events, settings.events_partitions, mix)
        async with (
            Offsets(self._stack.admin, settings.kafka, names.count_group, names.events) as offsets,
            self._stack.worker(settings, "count", ready=False) as first,
            self._stack.worker(settings, "count", ready=False, number=2),
            Counted(first.url) as counted,
        ):
            ready = await first.ready_at(60)
            before = await counted.total()
            committed = await offsets.all_committed()
            complete = await counted.complete(mix.events, expected)
        rate = (mix.events - before) / (max(complete, committed) - ready)
        self._report.figure(f"product: two count workers, {mix}", rate, "events/s")
        self._report.figure(f"product, two workers / loop, {mix}", rate / loop, "x")
        await self._stack.clear(settings)

    async def _product(self, settings: Settings, mix: Mix) -> float:
        """Return events per second of a count worker."""
        names, expected = Names(settings.namespace), mix.expected()
        async with (
            Offsets(self._stack.admin, settings.kafka, names.count_group, names.events) as offsets,
            self._stack.worker(settings, "count", ready=False) as worker,
            Counted(worker.url) as counted,
        ):
            loop = asyncio.get_running_loop()
            began = loop.time()
            ready = await worker.ready_at(60)
            before, used = await counted.total(), worker.cpu_s()
            committed = await offsets.all_committed()
            complete = await counted.complete(mix.events, expected)
            used = (worker.cpu_s() - used) / (mix.events - before) * 1e6
            self._report.figure(f"product: start of the process, {mix}", ready - began, "s")
            self._report.figure(
                f"product: from commit to complete, {mix}", complete - committed, "s"
            )
            self._report.figure(f"product: CPU, {mix}", used, "us/event")
            self._report.figure(f"product: memory at the end, {mix}", worker.memory_mb(), "MB")
        rate = (mix.events - before) / (max(complete, committed) - ready)
        return self._report.figure(f"product: four counters, {mix}", rate, "events/s")

    async def _loop(self, settings: Settings, mix: Mix) -> float:
        given = {
            "kafka": settings.kafka,
            "topic": Names(settings.namespace).events,
            "group": f"{settings.namespace}loop",
            "events": mix.events,
        }
        async with running("bench.peers.loop", self._log("loop"), given=given) as peer:
            found = await peer.says()
        if found["counted"] != mix.events:
            raise SystemExit(f"the loop counted {found['counted']} of {mix.events}")
        rate = mix.events / found["seconds"]
        return self._report.figure(f"loop: aiokafka, one counter, {mix}", rate, "events/s")

    async def _faust(self, settings: Settings, mix: Mix) -> float:
        topic, group = Names(settings.namespace).events, f"{settings.namespace}plain"
        given = {
            "kafka": settings.kafka,
            "topic": topic,
            "group": group,
            "partitions": settings.events_partitions,
            "folder": str(settings.data_dir / "plain"),
        }
        async with (
            Offsets(self._stack.admin, settings.kafka, group, topic) as offsets,
            running("bench.peers.plain_faust", self._log("faust"), given=given) as peer,
        ):
            began = (await peer.says())["began"]
            await offsets.all_committed()
            rate = mix.events / (time.time() - began)
        return self._report.figure(f"faust: plain agent, one counter, {mix}", rate, "events/s")

    async def _quix(self, settings: Settings, mix: Mix) -> float:
        topic, group = Names(settings.namespace).events, f"{settings.namespace}quix"
        given = {
            "kafka": settings.kafka,
            "topic": topic,
            "group": group,
            "events": mix.events,
            "folder": str(settings.data_dir / "quix"),
        }
        async with (
            Offsets(self._stack.admin, settings.kafka, group, topic) as offsets,
            running(QUIX, self._log("quix"), given=given, environment="peers") as peer,
        ):
            began = (await peer.says())["began"]
            await peer.says()
            await offsets.all_committed()
            rate = mix.events / (time.time() - began)
        return self._report.figure(f"quix: group_by, one counter, {mix}", rate, "events/s")

    def _log(self, name: str) -> Path:
        return self._stack.folder / "logs" / f"{name}.log"


async def main() -> None:
    """Measure, print, write."""
    parser = options(__doc__)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--faust-events", type=int, default=20_000)
    parser.add_argument("--quix-events", type=int, default=200_000)
    parser.add_argument("--keys", type=int, nargs="*", default=KEYS, help="0: all distinct")
    parser.add_argument("--without", nargs="*", default=[], choices=SLOW_PEERS)
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.events, chosen.faust_events, chosen.quix_events = 1_000_000, 5_000, 30_000
        chosen.repeats = 1
    report = Report("count", chosen)
    report.note("Statistics are off: the four counters alone; bench.statistics has the others.")
    report.note("The count worker runs without Postgres and Redis: only counting is measured.")
    report.note("Peers count one counter, the product four; Faust and Quix get fewer events.")
    async with Stack() as stack:
        bench = Bench(stack, report, chosen)
        for number in range(chosen.repeats):
            for keys in chosen.keys:
                print(f"repeat {number + 1} of {chosen.repeats}", flush=True)
                await bench.repeat(keys, chosen.seed + number)
    report.save()


if __name__ == "__main__":
    asyncio.run(main())
