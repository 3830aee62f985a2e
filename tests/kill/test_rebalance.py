"""The transport alone, through many joins, leaves and deaths: nothing skipped, nothing halved."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from app.stack.child import Child
from app.stack.kafka import Kafka
from tests.support.crew import ROOT, Tally
from tests.support.kafka_client import KafkaClient
from tests.support.rebalance_member import Delivered, read_delivered
from tests.support.waiting import wait_until

pytestmark = pytest.mark.kill

PARTITIONS = 5
MOST_MEMBERS = 4
RATE = 500  # records per second, about what one member can take
NAMES = ("static-1", "static-2", "-", "-")
SESSION_S = 6


class Instance:
    """A process of a member, and what it wrote."""

    def __init__(
        self,
        folder: Path,
        number: int,
        name: str,
        kafka: str,
        topic: str,
        session_s: int = SESSION_S,
    ) -> None:
        self.name, self.killed, self.left = name, False, False
        self._file = folder / f"{number}.delivered"
        self.child = Child(f"member-{number}", folder, folder / f"{number}.log")
        own = (str(self._file), kafka, topic, name, str(number), str(session_s))
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.child.spawn([sys.executable, "-m", "tests.support.rebalance_member", *own], env)

    def delivered(self) -> list[Delivered]:
        """Return all batches that it finished."""
        return read_delivered(self._file)

    def kill(self) -> None:
        """Kill -9."""
        self.child.kill()
        self.killed = True

    async def leave(self) -> None:
        """End it with SIGTERM."""
        self.child.signal(signal.SIGTERM)
        await wait_until(self.child.exit_code, lambda code: code is not None, deadline_s=30)
        early = -signal.SIGTERM  # while it was still importing
        assert self.child.exit_code() in (0, early), self.child.last_words(5)
        self.left = True


class Group:
    """All instances of one run."""

    def __init__(self, folder: Path, kafka: str, topic: str, rng: random.Random) -> None:
        self._folder, self._kafka, self._topic, self._rng = folder, kafka, topic, rng
        self._number = itertools.count()
        self.instances: list[Instance] = []

    @property
    def present(self) -> list[Instance]:
        """Those that are there."""
        return [one for one in self.instances if not one.killed and not one.left]

    def join(self) -> None:
        """Add a process; no two of a static name at the same time."""
        taken = {one.name for one in self.present} - {"-"}
        name = self._rng.choice([name for name in NAMES if name not in taken])
        made = Instance(self._folder, next(self._number), name, self._kafka, self._topic)
        self.instances.append(made)

    def covered(self) -> dict[int, set[int]]:
        """Return the offsets of each partition that were finished."""
        found: defaultdict[int, set[int]] = defaultdict(set)
        for one in self.instances:
            for batch in one.delivered():
                found[batch.partition].update(range(batch.first, batch.last + 1))
        return found

    def finished(self) -> int:
        """Return how many records were finished."""
        return sum(map(len, self.covered().values()))

    def end(self) -> None:
        """Kill all."""
        for one in self.instances:
            one.child.kill()


def halves(instances: Iterable[Instance]) -> list[Delivered]:
    """Return batches that are not all of the records between their positions."""
    return [
        batch
        for one in instances
        for batch in one.delivered()
        if (batch.first, batch.last + 1) != (batch.before, batch.after)
        or batch.count != batch.after - batch.before
    ]


def doubles(instances: Iterable[Instance]) -> tuple[int, list[tuple[Delivered, str]]]:
    """Return how many records came again, and those batches whose last reader was not killed."""
    finished = [(batch, one) for one in instances for batch in one.delivered()]
    reader: dict[tuple[int, int], Instance] = {}
    again, unexcused = 0, []
    for batch, one in sorted(finished, key=lambda pair: pair[0].at):
        readers = [
            reader.get((batch.partition, offset)) for offset in range(batch.first, batch.last + 1)
        ]
        earlier = {before for before in readers if before is not None}
        again += sum(before is not None for before in readers)
        if any(before is one or not before.killed for before in earlier):
            unexcused.append((batch, one.child.name))
        for offset in range(batch.first, batch.last + 1):
            reader[batch.partition, offset] = one
    return again, unexcused


async def test_joins_leaves_and_deaths_leave_no_hole_and_no_half_batch(
    kafka: KafkaClient, kafka_part: Kafka, tally: Tally, tmp_path: Path, soaking: bool
) -> None:
    rng, topic = random.Random(tally.seed), f"rebalance-{tally.seed}"
    async with kafka.admin() as admin:
        await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    for partition in range(PARTITIONS):  # by chance nobody may send to one
        await kafka.send(topic, [b"x"], partition)
    group = Group(tmp_path, kafka_part.address, topic, rng)
    sending = asyncio.create_task(send_for_ever(kafka, topic, random.Random(tally.seed)))
    try:
        group.join()
        for _ in range(12 if soaking else 6):
            if group.present:  # so that each disturbs a group at work
                least = group.finished() + rng.randrange(400)
                await wait_until(group.finished, lambda now: now > least, deadline_s=60)  # noqa: B023
            assert not sending.done()
            await disturb(group, rng, tally)
        if not group.present:
            group.join()
        sending.cancel()
        await asyncio.wait([sending])
        ends = {p: set(range(end)) for p, end in (await kafka.ends(topic)).items()}
        await wait_until(group.covered, ends, deadline_s=90, every_s=0.5)
        tally.events = sum(map(len, ends.values()))
        await kafka_committed(kafka, f"{topic}-group", topic)
        assert halves(group.instances) == []
        again, unexcused = doubles(group.instances)
        assert unexcused == [], f"{again} records came again"
        for one in group.present:
            await one.leave()
        tally.exact = True
    finally:
        sending.cancel()
        group.end()


async def test_a_member_ends_while_another_keeps_the_group_waiting(
    kafka: KafkaClient, kafka_part: Kafka, tmp_path: Path
) -> None:
    """Nobody joins before the session of a frozen member has expired."""
    address, topic = kafka_part.address, f"rebalance-{tmp_path.parent.name}-{tmp_path.name}"
    async with kafka.admin() as admin:
        await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
        instances = [Instance(tmp_path, 1, "-", address, topic, session_s=60)]
        try:
            await kafka.send(topic, [b"x"], 0)
            await wait_until(instances[0].delivered, bool, deadline_s=60)
            instances[0].child.signal(signal.SIGSTOP)
            instances.append(Instance(tmp_path, 2, "-", address, topic, session_s=60))
            await wait_until(lambda: state_of(admin, f"{topic}-group"), "PreparingRebalance")
            await instances[1].leave()
            assert await state_of(admin, f"{topic}-group") == "PreparingRebalance", "too late"
        finally:
            for one in instances:
                one.kill()


async def disturb(group: Group, rng: random.Random, tally: Tally) -> None:
    """Let somebody join, leave or die."""
    for one in group.present:
        assert one.child.alive(), one.child.last_words(20)
    what = rng.choice(["join", "join", "leave", "kill"])
    if not group.present or (what == "join" and len(group.present) < MOST_MEMBERS):
        group.join()
    elif what == "kill":
        rng.choice(group.present).kill()
        tally.kills += 1
    else:
        await rng.choice(group.present).leave()
        tally.leaves += 1


async def state_of(admin: AIOKafkaAdminClient, group: str) -> str:
    """Return the state that the coordinator has a group in."""
    (answer,) = await admin.describe_consumer_groups([group])
    (_, _, state, *_), *_ = answer.groups
    return str(state)


async def send_for_ever(kafka: KafkaClient, topic: str, rng: random.Random) -> None:
    """Send records to random partitions, one here, hundreds there."""
    while True:
        size = rng.choice([1, 3, 30, 300])
        await kafka.send(topic, [b"x"] * size, rng.randrange(PARTITIONS))
        await asyncio.sleep(size / RATE * rng.random() * 2)


async def kafka_committed(kafka: KafkaClient, group: str, topic: str) -> None:
    """Wait until everything is committed."""
    ends = {p: end for p, end in (await kafka.ends(topic)).items() if end}
    await wait_until(lambda: kafka.committed(group, topic), ends, deadline_s=30, every_s=0.3)
