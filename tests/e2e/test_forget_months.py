"""Old months forgotten, and a user of theirs: no figure changes, now or counted anew."""

from __future__ import annotations

import asyncio
import json
import random
from datetime import datetime
from typing import Any

from app.cli.forget import forget as forget_one
from app.cli.forget_months import forget_before
from app.cli.progress import ProgressLog
from app.cli.rebuild import rebuild_tables
from app.kafka.tables_version import current_version
from app.settings import Settings
from app.stack.workers import WorkerProcess
from app.wiring.own_counters import agree
from tables.counters import declare
from tests.conftest import MakeSettings, StartWorker
from tests.e2e.test_forget import start_again
from tests.kill.test_own_counters import COUNTERS, order
from tests.support.kafka_client import KafkaClient
from tests.support.stores import Stores
from web.query.table_rows import table_rows

CLICKERS = "clicker 0", "clicker 1"
LATE = {"timestamp": "2015-05-17T10:20:00Z"}
LATER = {"timestamp": "2020-02-27T00:20:00Z"}
REMAINS = "They are still in Kafka (events) until 20"
Figures = dict[tuple[str, str, int, str], Any]


async def figures(settings: Settings) -> Figures:
    """Return all that the tables hold of counters that are kept for good."""
    registry = await agree(settings, await current_version(settings))
    found: Figures = {}
    async with table_rows(settings, settings.counts_partitions) as tables:
        for spec in declare(settings, registry.specs()).values():
            if spec.retention is not None:
                continue
            reader = tables.sketches if spec.measure.is_sketch else tables.read
            async for chunk in reader(spec.name):
                found |= {(spec.name, key, at, label): n for key, at, label, n in chunk}
    return found


def click(rng: random.Random) -> dict[str, Any]:
    meta = {"UserId": rng.choice(CLICKERS), "AdId": "34"}
    return {"Type": "AdClick", "Url": "https://a.example/x", "Meta": meta}


async def send_more(stores: Stores, rng: random.Random) -> None:
    """Send orders, and clicks of few users, in two months that will go, and now."""
    for partition in range(stores.settings.events_partitions):
        events = [json.loads(order(rng)) for _ in range(30)] + [click(rng) for _ in range(20)]
        rng.shuffle(events)
        message = {"type": "buy", "url": "/buy", "message_id": f"{rng.random()}"}
        sent = [json.dumps(message | time).encode() for time in (LATE, {}, LATER)]
        await stores.kafka.send(stores.events, sent, partition)
        values = [json.dumps(one | rng.choice([{}, LATE, LATER])).encode() for one in events]
        await stores.kafka.send(stores.events, values, partition)


async def forgotten(stores: Stores) -> dict[str, Any]:
    found = await stores.audit()
    assert found["differences"] == []
    months: dict[str, Any] = found["forgotten_months"]
    return months


async def forget(settings: Settings, month: str) -> list[str]:
    """Do what `forget --before` does; return what it says."""
    before = datetime.fromisoformat(f"{month}-01T00:00:00Z")
    with ProgressLog() as progress:
        return await asyncio.to_thread(forget_before, settings, before, progress)


async def forget_user(stores: Stores, user: str, count: WorkerProcess) -> None:
    """Do what `forget --user` does: it rebuilds the tables, too."""

    async def work() -> None:
        with ProgressLog() as progress:
            assert (await forget_one(stores.settings, user, progress)).rows > 0
            await rebuild_tables(stores.settings, progress)

    await asyncio.gather(work(), start_again(count))


async def clickers(stores: Stores) -> set[str]:
    """Return whose ad clicks are known of, but are gone."""
    return {
        row["user_id"] for row in await stores.database.fetch("select user_id from base_clicks")
    }


async def forget_first(stores: Stores) -> dict[str, Any]:
    """Forget what lies before 2020; return what audit says of it."""
    answer, *remaining = await forget(stores.settings, "2020-01")
    gone = await forgotten(stores)
    assert answer == (
        f"forgot {gone['rows']} rows of event before 2020-01, and 0 files of the archive; "
        "figures stay"
    )
    assert [text[: len(REMAINS)] for text in remaining] == [REMAINS]
    assert gone["rows"] > 50
    (left,) = await stores.database.fetch("select min(datetime) as first from event")
    assert f"{left['first']:%Y-%m}" == "2020-02"
    return gone


async def count_anew(stores: Stores) -> None:
    """Empty event_summary and Redis, and rebuild them."""
    await stores.database.fetch("truncate event_summary")
    await stores.redis.flushdb()
    await stores.rebuild("summary")
    await stores.rebuild("redis")
    assert await stores.differences() == []


async def test_months_are_forgotten_and_all_figures_stay(
    make_settings: MakeSettings, kafka: KafkaClient, start_worker: StartWorker
) -> None:
    stores = await Stores.start(make_settings, kafka, start_worker, counters=str(COUNTERS))
    rng, settings = random.Random(5), stores.settings
    await stores.send(600)
    await send_more(stores, rng)
    assert await forgotten(stores) == {"before": None, "rows": 0}
    before = await figures(settings)
    gone = await forget_first(stores)
    assert await figures(settings) == before
    await stores.send(200)
    await send_more(stores, rng)
    assert await forgotten(stores) == gone
    await forget(settings, "2024-01")
    await stores.send(200)
    assert (await forgotten(stores))["before"] == "2024-01"
    before = await figures(settings)
    # As after a day: only event knows of copies whose first is gone.
    await stores.database.fetch("truncate event_messages")
    clicked = await clickers(stores)
    await forget_user(stores, CLICKERS[0], stores.workers[1])
    assert clicked - await clickers(stores) == {CLICKERS[0]}
    assert (await forgotten(stores))["rows"] > gone["rows"]
    after = await figures(settings)
    assert {p: v for p, v in after.items() if before.get(p) != v} == {}
    assert before == after
    await count_anew(stores)
    await stores.redis.aclose()
