"""Beside Flink SQL: a backlog counted into four counters by both, and here with all statistics.

The same events, one after the other: by one count worker with statistics off (the four counters),
by one with statistics on (all counters, rules about bots and clicks, sessions, distinct users), and
by Flink into the same four counters, with one slot and with two. The clock of each runs from ready
to read until its source offsets are committed, and, for the product, its totals answer with every
event. What Flink wrote is read, too: a peer that counts wrong is not a peer.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import NamedTuple

import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import NewTopic

from app.names import Names
from app.stack.jars import cache_dir, jars_in, pinned
from bench.support.backlog import Mix, fill
from bench.support.counting import count_backlog
from bench.support.peer import ROOT, Peer, running
from bench.support.results import Report, options
from bench.support.stack import Stack
from bench.support.watch import Offsets

KEYS = (100, 100_000)
SLOTS = (1, 2)
GROUP = "flink"
COUNTERS = ("by_url", "by_url_hourly", "by_type", "by_type_minutely")
READY_S = 120.0
CONNECTOR = ROOT / "bench" / "peers" / "flink_jars.txt"


class FlinkCount(NamedTuple):
    """rate: events/s. cpu_us: of Python and Java, per event."""

    rate: float
    cpu_us: float


class Bench:
    """One run of this script."""

    def __init__(self, stack: Stack, report: Report, connector: str) -> None:
        self._stack, self._report, self._connector = stack, report, connector

    async def repeat(self, mix: Mix) -> None:
        """Measure all of them once, one after the other."""
        counted = {}
        for words, on in ((f"four counters, {mix}", False), (f"all statistics, {mix}", True)):
            settings = await self._stack.settings(statistics=on)
            name = f"product: {words}"
            counted[words] = await count_backlog(self._stack, self._report, settings, mix, name)
        for slots in SLOTS:
            flink = await self._flink(mix, slots)
            for words, ours in counted.items():
                beside = f"Flink's four, {slots} slots"
                self._report.figure(f"{words} / {beside}", ours.rate / flink.rate, "x")
                self._report.figure(
                    f"CPU of {words} / of {beside}", ours.cpu_us / flink.cpu_us, "x"
                )

    async def _flink(self, mix: Mix, slots: int) -> FlinkCount:
        settings = await self._stack.settings()
        names = Names(settings.namespace)
        await fill(settings.kafka, names.events, settings.events_partitions, mix)
        group = f"{settings.namespace}{GROUP}"
        topics = {name: f"{group}-{name}" for name in COUNTERS}
        made = [NewTopic(name, settings.events_partitions, 1) for name in topics.values()]
        await self._stack.admin.create_topics(made)
        given = {
            "kafka": settings.kafka,
            "topic": names.events,
            "group": group,
            "connector": self._connector,
            "folder": str(settings.data_dir),
            "slots": slots,
        }
        log = self._stack.folder / "logs" / "flink.log"
        async with (
            Offsets(self._stack.admin, settings.kafka, group, names.events) as offsets,
            running("bench.peers.flink_sql", log, given=given, environment="flink") as peer,
        ):
            began = (await peer.says(READY_S))["began"]
            before = cpu_s(peer)
            await offsets.all_committed()
            took, used = time.time() - began, cpu_s(peer) - before
            memory = sum(process.memory_info().rss for process in family(peer)) / 1e6
        if (
            counted := await total(settings.kafka, topics["by_type"], settings.events_partitions)
        ) != mix.events:
            raise SystemExit(f"Flink counted {counted} of {mix.events}")
        await self._stack.admin.delete_topics([*topics.values()])
        await self._stack.clear(settings)
        words = f"Flink SQL: four counters, {slots} slots, {mix}"
        cpu = self._report.figure(f"{words}: CPU", used / mix.events * 1e6, "us/event")
        self._report.figure(f"{words}: memory at the end", memory, "MB")
        return FlinkCount(self._report.figure(words, mix.events / took, "events/s"), cpu)


def family(peer: Peer) -> list[psutil.Process]:
    """Return a peer's process and all that it started."""
    first = psutil.Process(peer.process.pid)
    return [first, *first.children(recursive=True)]


def cpu_s(peer: Peer) -> float:
    """Return the seconds of CPU that a peer has used."""
    times = [process.cpu_times() for process in family(peer)]
    return float(sum(used.user + used.system for used in times))


async def total(kafka: str, topic: str, partitions: int) -> int:
    """Return the sum of the last counts of all types."""
    last: dict[bytes, int] = {}
    async with AIOKafkaConsumer(bootstrap_servers=kafka) as consumer:
        parts = [TopicPartition(topic, n) for n in range(partitions)]
        consumer.assign(parts)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(parts)
        while any([await consumer.position(part) < end for part, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                last |= {record.key: json.loads(record.value)["events"] for record in records}
    return sum(last.values())


def connector() -> str:
    """Return the path of what Flink reads Kafka with; download it the first time."""
    jars = pinned(CONNECTOR)
    [path] = jars_in(cache_dir() / "flink", jars, print, "Flink's connector", "leave this out")
    return str(path)


async def main() -> None:
    """Measure, print, write."""
    parser = options(__doc__)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--keys", type=int, nargs="*", default=KEYS, help="0: all distinct")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.events, chosen.repeats = 500_000, 1
    report = Report("flink", chosen)
    report.note("Records have no keys. Flink: RocksDB, mini-batches, a checkpoint each second.")
    path = connector()
    async with Stack() as stack:
        bench = Bench(stack, report, path)
        for number in report.repeats():
            for keys in chosen.keys:
                await bench.repeat(Mix(chosen.events, keys, chosen.seed + number, sessions=True))
    report.save()


if __name__ == "__main__":
    asyncio.run(main())
