"""What TLS to Kafka costs: collecting and counting with it, and without, on the same broker.

One broker has three doors: plain, TLS with certificates on both sides, and TLS with a user that
shows a password (SASL_SSL, SCRAM-SHA-512). Ratios are to the plain one of the same repeat; where
Kafka has no core of its own, CPU says more than speed.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any, NamedTuple

from app.names import Names
from app.settings import Settings
from bench.support.backlog import Mix, fill
from bench.support.costs import put_cost
from bench.support.load_client import Load, request
from bench.support.results import Report, options
from bench.support.stack import BenchWorker, KafkaPart, Stack
from bench.support.watch import Counted, Offsets
from tests.support.secured import PASSWORD, USER, Authority, SecuredKafka

KEYS = 1000
CONNECTIONS, BULK_CONNECTIONS = 64, 8
BULK = 500  # events a request
PLAIN = "plain"


class SecuredPart:
    """The broker as a part of a stack."""

    name = "kafka"

    def __init__(self, secured: SecuredKafka) -> None:
        self._broker = secured.broker
        self.address, self.port, self.child = (
            secured.plain,
            secured.broker.port,
            secured.broker.child,
        )

    async def start(self) -> str:
        """Return its plain address."""
        await self._broker.start()
        return self.address

    async def stop(self) -> None:
        """End it."""
        await self._broker.stop()


class SecuredStack(Stack):
    """Has the broker with three doors."""

    def make_kafka(self, folder: Path) -> KafkaPart:
        """Return it; `doors` is how each is reached."""
        authority = Authority(self.folder / "authority")
        kafka = SecuredKafka(folder, authority)
        ca = {"kafka_ca": str(authority.ca)}
        user = {"kafka_user": USER, "kafka_password": PASSWORD, "kafka_sasl": "SCRAM-SHA-512"}
        shown = {"kafka_cert": str(authority.client)}
        self.doors: dict[str, dict[str, Any]] = {
            PLAIN: {},
            "TLS": {"kafka": kafka.mutual, "kafka_security": "SSL", **ca, **shown},
            "TLS and password": {"kafka": kafka.sasl, "kafka_security": "SASL_SSL", **ca, **user},
        }
        return SecuredPart(kafka)


class Cost(NamedTuple):
    """Of one path: events per second, and CPU of the worker in us an event."""

    rate: float
    cpu_us: float


class Bench:
    """One run of this script."""

    def __init__(self, stack: SecuredStack, report: Report, events: int, seconds: float) -> None:
        self._stack, self._report, self._seconds = stack, report, seconds
        self._events = events
        self._log = stack.folder / "logs" / "load.log"

    async def repeat(self, seed: int, *, swap: bool) -> None:
        """Measure all doors once, one after the other; swap: in the other order."""
        mix = Mix(self._events, KEYS, seed)
        bodies = list(Mix(BULK * 20, KEYS, seed).values(time.time()))
        puts = [request("PUT", "/event_generate/", body) for body in bodies[:2000]]
        bulks = [
            request("POST", "/events", b"[" + b",".join(bodies[at : at + BULK]) + b"]")
            for at in range(0, len(bodies), BULK)
        ]
        doors = list(self._stack.doors)
        if not swap:  # a Kafka that has just started is slower
            await self._measure(doors[-1], mix, puts, bulks)
        found = {
            door: await self._measure(door, mix, puts, bulks)
            for door in (reversed(doors) if swap else doors)
        }
        for name in found[PLAIN]:
            for door in doors:
                self._report.figure(f"{name}: {door}", found[door][name].rate, "events/s")
            for door in doors:
                cost, plain = found[door][name].cpu_us, found[PLAIN][name].cpu_us
                self._report.figure(f"{name}, CPU of the worker: {door}", cost, "us/event")
                if door != PLAIN:
                    self._report.figure(f"{name}, CPU: {door} / plain", cost / plain, "x")

    async def _measure(
        self, door: str, mix: Mix, puts: list[bytes], bulks: list[bytes]
    ) -> dict[str, Cost]:
        """Return what each path costs through a door."""
        settings = await self._stack.settings()
        topic = Names(settings.namespace).events
        await fill(settings.kafka, topic, settings.events_partitions, mix)
        settings = Settings.model_validate({**dict(settings), **self._stack.doors[door]})
        found = {"count a backlog": await self._count(settings, mix)}
        async with self._stack.worker(settings, "collect") as collector:
            found["PUT"] = await self._send(collector, puts, CONNECTIONS)
            name = f"POST /events, {BULK} each"
            found[name] = await self._send(collector, bulks, BULK_CONNECTIONS, BULK)
        await self._stack.clear(settings)
        return found

    async def _send(
        self, collector: BenchWorker, requests: list[bytes], connections: int, events: int = 1
    ) -> Cost:
        """Return what it takes to collect; events: in a request."""
        load = Load(collector.port, connections, self._seconds, requests)
        rate, cpu_us = await put_cost(load, self._log, collector)
        return Cost(events * rate, cpu_us / events)

    async def _count(self, settings: Settings, mix: Mix) -> Cost:
        """Return what it takes to count a backlog."""
        names, plain = Names(settings.namespace), self._stack.kafka.address
        async with (
            Offsets(self._stack.admin, plain, names.count_group, names.events) as offsets,
            self._stack.worker(settings, "count", ready=False) as worker,
            Counted(worker.url) as counted,
        ):
            ready = await worker.ready_at(60)
            before, used = await counted.total(), worker.cpu_s()
            done = max(await offsets.all_committed(), await counted.complete(mix.events, {}))
            used = worker.cpu_s() - used
        return Cost((mix.events - before) / (done - ready), used / (mix.events - before) * 1e6)


async def main() -> None:
    """Measure, print, write."""
    parser = options(__doc__, repeats=2)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each load over HTTP")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.seconds, chosen.events, chosen.repeats = 2.0, 100_000, 1
    report = Report("tls", chosen)
    report.note("Statistics are off. Kafka makes and reads what is encrypted on the same cores.")
    async with SecuredStack() as stack:
        bench = Bench(stack, report, chosen.events, chosen.seconds)
        for number in report.repeats():
            await bench.repeat(chosen.seed + number, swap=bool(number % 2))
    report.save()


if __name__ == "__main__":
    asyncio.run(main())
