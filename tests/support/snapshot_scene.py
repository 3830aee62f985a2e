"""A running system of which one store is put back as it was before; compared with its log."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from app.names import Names
from app.settings import Role, Settings
from tests.support import archive
from tests.support.caught_up import caught_up
from tests.support.crew import Crew, Member
from tests.support.database import Database
from tests.support.exactness import Exactness
from tests.support.ledger import Ledger, Truth
from tests.support.load import Load
from tests.support.put_back import Gap, OlderKafka, Store
from tests.support.receiver import Receiver
from tests.support.stores import Stores
from tests.support.waiting import wait_until

TOPICS = "events", "alerts", "rejected", "totals"  # that are compared
APP_TYPES = "scroll", "swipe", "null"
LOST = "event_counter_events_lost_total"
REPEATED = 40  # records with a message_id that come once more at the end


class SnapshotScene:
    """A running system, of which one store is put back."""

    def __init__(
        self,
        settings: Settings,
        kafka: OlderKafka,
        name: str,
        store: Store,
        crew: Crew,
        receiver: Receiver,
    ) -> None:
        """name: of the store. receiver: of alerts."""
        self.settings, self.kafka = settings, kafka
        self._crew, self._receiver = crew, receiver
        self.name, self.store = name, store
        self.rng = random.Random(crew.tally.seed)
        self.names, self.ledger = Names(settings.namespace), Ledger()
        self.topics = [getattr(self.names, name) for name in TOPICS]

    async def begin(self) -> None:
        """Start all workers."""
        for member in self._crew.members:
            member.join()
        await self._crew.ready()

    async def snapshot(self, *, alive: bool) -> None:
        """Take one of the store; alive: while workers go on, and wait for it."""
        await self._end_workers(alive=alive)
        await self.kafka.note_ends(self.topics)
        await self.store.halt(self.rng)
        self.store.copy()
        await self._go_on(alive=alive)

    async def put_back(self, *, alive: bool) -> None:
        """Let the store be as the snapshot."""
        await self._end_workers(alive=alive)
        if self.name == "kafka":
            await self.kafka.remember()
        await self.store.halt(self.rng)
        self.store.put_back()
        await self._go_on(alive=alive)

    async def leave(self, role: Role) -> None:
        """Let a worker stop; it starts again with the others."""
        (member,) = self._crew.hired(role)
        await member.leave()

    async def _go_on(self, *, alive: bool) -> None:
        await self.store.begin()
        if not alive:
            await self.begin()

    async def _end_workers(self, *, alive: bool) -> None:
        members = [m for m in self._crew.members if m.worker.child.alive() and not alive]
        for member in self.rng.sample(members, len(members)):
            await self._end(member)

    async def _end(self, member: Member) -> None:
        if self.rng.random() < 0.5:
            await member.leave()
        else:
            await member.end()
            self._crew.tally.kills += 1

    @asynccontextmanager
    async def load(self) -> AsyncIterator[Load]:
        """Send events while inside, to Kafka and over HTTP."""
        url = f"http://{self.settings.http_host}:{self.settings.http_port}"
        where = self.settings.kafka, self.names.events, url
        async with Load(self.rng, *where, rate=150, most=1500, ledger=self.ledger) as load:
            yield load

    async def repeat(self) -> None:
        """Send events again that have a message_id, of any time, each to its partition."""
        for record in self.rng.sample(await self.kafka.read(self.names.events), REPEATED):
            if b"message" in record.value:
                await self.kafka.send(self.names.events, [record.value], record.partition)

    async def settled(self) -> None:
        """Wait until nobody writes to `events` any more.

        Where `counts` has become shorter, count workers ask each other there for all rows.
        """
        await caught_up(self.settings, self.kafka)

    async def check(self, gaps: Mapping[Role, Gap]) -> None:
        """Compare what roles make with the log, which nobody writes any more; gaps: by role."""
        records = await self.kafka.read(self.names.events)
        self._crew.tally.events = len(records)
        for role, gap in gaps.items():
            truth = gap.truth(self.ledger, records)
            if role == "archive":
                await self._check_archive(truth)
                continue
            found = Exactness(self.settings, self.kafka, truth, self._crew.urls)
            checks = (
                [found.stored] if role == "store" else [found.counted, found.summed, found.live]
            )
            for check in checks:
                await check()
            if role == "count" and not gap.sizes:
                await self._check_webhook()

    async def _check_webhook(self) -> None:
        """It has got each alert; one that is late may have left before it had sent all."""
        alerts = await self.kafka.values(self.names.alerts)
        got = self._receiver.calls
        await wait_until(lambda: {body for _, body in got}, set(alerts), deadline_s=60)

    async def _check_archive(self, truth: Truth) -> None:
        """Each app event that is no duplicate is in it, once."""
        facts = [
            self.ledger.facts[truth.places[at]] for at in truth.places.keys() - truth.duplicates
        ]
        wanted = Counter((fact.user, fact.type) for fact in facts if fact.type in APP_TYPES)

        def archived() -> Counter[tuple[Any, ...]]:
            rows = archive.read(self.settings.data_dir)
            return Counter((row["user_id"], row["event_action"] or "null") for row in rows)

        await wait_until(archived, wanted, deadline_s=60)

    async def gap_of(self, role: Role) -> Gap:
        """Return what a role that has left had not read of `events`, beyond the snapshot."""
        topic = self.names.events
        if role == "store":
            database = Database(self.settings.postgres.get_secret_value())
            rows = await database.fetch("select partition, next_offset from sink_offsets")
            positions = dict(rows)
        else:
            group = self.names.count_group if role == "count" else self.names.archive_group
            positions = await self.kafka.committed(group, topic)
        kept = self.kafka.kept(topic)  # it may have left before it had read all of this
        return Gap(
            {part: max(end, positions.get(part, 0)) for part, end in kept.items()},
            await self.kafka.ends(topic),
        )

    async def lost(self, role: Role) -> int:
        """Return what a worker says that it has lost, in its metrics."""
        (member,) = self._crew.hired(role)
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{member.worker.url}/metrics") as told,
        ):
            text = await told.text()
        return int(float(re.findall(rf'^{LOST}{{role="{role}"}} (\S+)$', text, re.MULTILINE)[0]))

    async def audit(self) -> dict[str, Any]:
        """Return what `audit --json` prints."""
        there = self.settings.model_copy(update={"count_urls": ",".join(self._crew.urls)})
        return await Stores(there, self.kafka, 0).audit()
