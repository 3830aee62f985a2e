"""Events in Postgres of which months are forgotten, and what it says that they add up to."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from typing import Any

from app.counting.counters import Counters
from app.counting.declared import parse_counters
from app.counting.registry import Begin, Registry, encode_decision, to_declare
from app.kafka.watermarks import Watermarks
from app.names import Names
from app.reconcile.base_fold import kept_for_good
from app.reconcile.comparison import ALWAYS, Comparison
from app.reconcile.forget_months import ForgetMonths, MonthsForgotten
from app.reconcile.own_counters import OwnCounters
from app.settings import Settings
from app.stores.event_store import EventStore
from tables.counters import declare
from tests.support.batches import batch_of
from tests.support.database import Database
from tests.support.kafka_client import KafkaClient

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OWN = """
[[counter]]
name = "amounts"
key = "user_id"
label = "type"
measure = "sum:value"
window = "all"
[[counter]]
name = "by_day"
key = "url"
window = "1d"
most_keys = 2
[[counter]]
name = "users"
measure = "distinct:user_id"
window = "all"
[[counter]]
name = "late"
window = "1h"
"""
MONTHS = ["2025-01", "2025-02", "2025-12"]
ALL = ("event", "forgotten_months", "base_cells", "base_sketches", "base_clicks", "base_offsets")


def registry_of(text: str) -> Registry:
    """Return what is decided: `late` begins in the middle of partition 0."""
    registry = Registry()
    for decision in to_declare(parse_counters(text, declare(Settings())), registry):
        registry.apply(encode_decision(decision))
    registry.keys = {number: {"/0": None, "/1": None} for number in registry.keys}
    for number in registry.numbers():
        for partition in (0, 1):
            late = number == max(registry.numbers()) and not partition
            registry.apply(encode_decision(Begin(number, partition, 70 if late else 0)))
    return registry


def random_event(rng: random.Random) -> bytes:
    """Return an event of a few users, ads and days, in three months."""
    kind = rng.choice(["AdClick", "AdClick", "page_view", "buy", "AdImpression"])
    day, hour = rng.choice([1, 28]), rng.randrange(3)
    found: dict[str, Any] = {
        "type": kind,
        "url": f"/{rng.randrange(4)}",
        "user_id": f"u{rng.randrange(4)}",
        "ad_id": rng.choice(["a", "b", None]),
        "value": rng.randrange(-500, 900) / 100,
        "timestamp": f"{rng.choice(MONTHS)}-{day:02d}T{hour:02d}:00:00Z",
    }
    if rng.random() < 0.5:
        found["message_id"] = f"m{rng.randrange(40)}"
    return json.dumps(found).encode()


class Months:
    """Events in Postgres, and what it says that they add up to."""

    def __init__(
        self,
        settings: Settings,
        kafka: Watermarks,
        client: KafkaClient,
        store: EventStore,
        own: str = OWN,
    ) -> None:
        self.settings, self.kafka, self._client, self._store = settings, kafka, client, store
        self.topic = Names(settings.namespace).events
        self.said: list[str] = []
        self.registry, self._ends = registry_of(own), {0: 0, 1: 0}
        self.dsn = settings.postgres.get_secret_value()
        self.database = Database(self.dsn)

    async def store(self, values: list[bytes], partition: int = 0, *, counted: bool = True) -> None:
        """Store events behind those of a partition, and let them be counted."""
        first = self._ends[partition]
        await self._store.store(
            self.topic, partition, batch_of(values, first=first, partition=partition)
        )
        self._ends[partition] += len(values)
        if counted:
            await self.counted()

    async def counted(self) -> None:
        """Commit for the count workers, of which there are none."""
        group = Names(self.settings.namespace).count_group
        await self._client.commit(group, self.topic, self._ends)

    async def forget(self, month: str, workers_s: float = 10) -> MonthsForgotten:
        """Forget what lies before a month."""
        before = datetime.fromisoformat(f"{month}-01T00:00:00Z")

        async def decided() -> Registry:
            return self.registry

        def kept(registry: Registry) -> Counters:
            return kept_for_good(declare(self.settings, registry.specs()).values())

        work = ForgetMonths(self.settings, self.kafka, decided, kept, self.said.append, workers_s)
        return await work.run(before)

    async def figures(self) -> dict[str, Any]:
        """Return what audit and rebuild count from event."""
        async with Comparison.open(self.dsn, self.topic) as sides:

            async def decided() -> Registry:
                return self.registry

            connection, found = sides.connection, {}
            await connection.execute(sides.sql["compare.own_prepare"])
            own = OwnCounters(sides, decided, 1, lambda _: None)
            own.counters = Counters(self.registry.specs())
            own.oldest |= dict.fromkeys(self.registry.numbers(), 0)
            async with connection.transaction(isolation="repeatable_read"):
                await sides.count(EPOCH, ALWAYS, self._ends, None)
                ends = [self._ends[0], self._ends[1]]
                found["types"] = await connection.fetch(sides.sql["compare.types"], ends, None)
                found["stored"] = await connection.fetch(
                    sides.sql["compare.stored"], self.topic, [0, 0], ends
                )
                await own.count(self._ends)
                async for one in own.differences():
                    found.setdefault("own", []).append(one)
            found["hours"] = await connection.fetch("select * from counted order by 1, 2, 3")
            missing = await connection.fetchrow(sides.sql["repair.missing"], self.topic)
            assert missing["rows"] == 0
            return {name: [tuple(row.values()) for row in rows] for name, rows in found.items()}

    async def clicks(self) -> dict[tuple[Any, ...], int]:
        """Return the third clicks that are gone, which nothing in Postgres compares."""
        rows = await self.database.fetch(
            "select source, key, label, start, sum(value) as n from base_cells"
            " where counter = 16 group by 1, 2, 3, 4"
        )
        return {tuple(row)[:4]: int(row["n"]) for row in rows}

    async def everything(self) -> list[Any]:
        """Return the rows of all tables that forgetting changes."""
        return [
            sorted(str(row[0]) for row in await self.database.fetch(f"select t::text from {t} t"))
            for t in ALL
        ]
