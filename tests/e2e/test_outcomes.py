"""received = counted + bots + duplicates + rejected, whenever asked, and each is right."""

from __future__ import annotations

import asyncio
import random
import re
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field

import aiohttp
from aiokafka import ConsumerRecord

from app.kafka.topics import ensure_topics
from app.names import Names
from app.settings import Settings
from app.stack.workers import WorkerProcess
from tests.conftest import StartWorker
from tests.support.kafka_client import KafkaClient
from tests.support.ledger import Truth, truth_of
from tests.support.load import Load
from tests.support.waiting import wait_until

LINE = re.compile(
    r'event_counter_records(_position)?\{(?:outcome="(\w+)",)?partition="(\d+)"\} (\S+)'
)
Said = dict[str, int]  # outcome -> records; "" -> position


@dataclass
class Scrapes:
    """What count workers said, again and again; answers: that held a figure."""

    said: set[tuple[int, int, tuple[tuple[str, int], ...]]] = field(default_factory=set)
    newest: dict[int, int] = field(default_factory=dict)
    answers: int = 0

    async def scrape(self, workers: list[WorkerProcess]) -> None:
        """Ask in turn, without a pause, until cancelled."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as http:
            while True:
                for worker in workers:
                    with suppress(aiohttp.ClientError, OSError):
                        async with http.get(f"{worker.url}/metrics") as answer:
                            self._note(await answer.text())
                    await asyncio.sleep(0)

    def _note(self, text: str) -> None:
        found: defaultdict[int, Said] = defaultdict(dict)
        for is_position, outcome, partition, number in LINE.findall(text):
            found[int(partition)]["" if is_position else outcome] = int(float(number))
        for partition, said in found.items():
            position = said.pop("")
            self.said.add((partition, position, tuple(sorted(said.items()))))
            self.newest[partition] = position
        self.answers += bool(found)


async def test_the_sum_comes_out_at_any_moment_and_across_a_kill(
    settings: Settings, kafka: KafkaClient, start_worker: StartWorker
) -> None:
    await ensure_topics(settings)
    topic, rng = Names(settings.namespace).events, random.Random(11)
    workers = [await start_worker(settings, "count", f"count-{n}") for n in (1, 2)]
    scrapes = Scrapes()
    scraping = asyncio.create_task(scrapes.scrape(workers))
    async with Load(rng, settings.kafka, topic, rate=2000) as load:
        await load.sent(1500)
        workers[0].child.kill()
        workers[0].start()
        await load.sent(1500)
        await wait_until(workers[0].is_ready, expected=True, deadline_s=60)
        ledger = await load.stop()
    records = await kafka.read(topic)
    truth = truth_of(ledger, records)
    await wait_until(lambda: scrapes.newest, truth.ends, deadline_s=60)
    scraping.cancel()
    positions = {(partition, position) for partition, position, _ in scrapes.said}
    assert len(positions) > 20, "asked while events flowed"
    wrong = [
        (partition, position, dict(said), right)
        for partition, position, said in scrapes.said
        if dict(said) != (right := outcomes_of(records, truth, partition, position))
    ]
    assert wrong == []


def outcomes_of(records: list[ConsumerRecord], truth: Truth, partition: int, position: int) -> Said:
    """Return what must have become of the records of a partition below a position."""
    below = [r.offset for r in records if r.partition == partition and r.offset < position]
    bots = sum((partition, offset) in truth.judgement.bots for offset in below)
    rejected = sum((partition, offset) in truth.rejected for offset in below)
    again = sum((partition, offset) in truth.duplicates for offset in below)
    return {
        "lost": 0,
        "received": len(below),
        "counted": len(below) - bots - rejected - again,
        "bots": bots,
        "rejected": rejected,
        "duplicates": again,
    }
