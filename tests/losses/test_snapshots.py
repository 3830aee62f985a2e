"""The snapshot of one store is put back, and not those of the others: all is exact again."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from app.kafka.topics import ensure_topics
from app.names import Names
from app.settings import Role
from app.stack.kafka import Kafka
from app.stack.parts import LocalServer
from app.stack.postgres import LocalPostgres
from app.stack.redis import Redis
from tests.conftest import MakeSettings
from tests.kill.conftest import RULES
from tests.support.crew import Crew, Tally
from tests.support.put_back import NOTHING, OlderKafka, Store
from tests.support.receiver import Receiver
from tests.support.snapshot_scene import SnapshotScene

pytestmark = pytest.mark.kill  # `make soak` takes others each time
QUICK = {
    "events_partitions": 2,
    "counts_partitions": 2,
    "summary_interval_s": 0.3,
    "redis_interval_s": 0.2,
    "archive_interval_s": 0.3,
    "enrich_interval_s": 1e9,
    "alert_rules": RULES,
}
ROLES: tuple[Role, ...] = ("count", "store", "archive", "collect")
SERVERS: dict[str, Callable[[Path, Path], LocalServer]] = {
    "kafka": Kafka,
    "postgres": LocalPostgres,
    "redis": Redis,
}
READERS: list[Role] = ["count", "store", "archive"]


class Case(NamedTuple):
    """Whose snapshot it is; whether workers live on; which role had not read all of Kafka's."""

    store: str
    alive: bool = False
    late: Role = ""


CASES = {
    "postgres": Case("postgres"),
    "postgres under workers": Case("postgres", alive=True),
    "redis": Case("redis"),
    "redis under workers": Case("redis", alive=True),
    "rocksdb": Case("rocksdb"),
    "archive": Case("archive"),
    "kafka": Case("kafka"),
    **{f"kafka, {role} late": Case("kafka", late=role) for role in READERS},
}
SOAK = bool(os.environ.get("SOAK"))
Make = Callable[[str], Awaitable[SnapshotScene]]


@pytest.fixture
async def make_scene(
    make_settings: MakeSettings, tmp_path: Path, tally: Tally
) -> AsyncIterator[Make]:
    """Return what makes a scene in which one store can be put back; it is not running yet."""
    async with AsyncExitStack() as stack:

        async def make(name: str) -> SnapshotScene:
            server, given = None, dict[str, object]()
            if name in SERVERS:
                server = SERVERS[name](tmp_path / name, tmp_path / f"{name}.log")
                given[name] = await server.start()
                stack.push_async_callback(server.stop)
            receiver = await stack.enter_async_context(Receiver())
            await receiver.open()
            settings = await make_settings(webhook_url=receiver.url, **QUICK, **given)
            await ensure_topics(settings)
            kafka = await stack.enter_async_context(
                OlderKafka(settings.kafka, [Names(settings.namespace).rejected])
            )
            crew = Crew(settings, tmp_path / "logs", tally)
            stack.push_async_callback(crew.end)
            for role in ROLES:
                crew.hire(role)
            base = settings.data_dir
            folders = {
                "rocksdb": [base / "count-1"],
                "archive": [base / "archive", base / ".archive"],
            }
            store = Store(folders.get(name, [tmp_path / name]), server)
            return SnapshotScene(settings, kafka, name, store, crew, receiver)

        yield make


@pytest.mark.parametrize("name", [*CASES] if SOAK else ["any"])
async def test_all_is_exact_once_a_store_was_put_back(
    name: str, make_scene: Make, tally: Tally
) -> None:
    name = random.Random(tally.seed).choice([*CASES]) if name == "any" else name
    tally.name = f"{name} put back"
    case = CASES[name]
    scene = await make_scene(case.store)
    await scene.begin()
    if case.store == "kafka":
        await kafka_is_put_back(scene, case.late)
    else:
        await is_put_back(scene, alive=case.alive)
    assert tally.surprises == []
    tally.exact = True


async def is_put_back(scene: SnapshotScene, *, alive: bool) -> None:
    """Nothing is lost where Kafka has it."""
    async with scene.load() as load:
        await load.sent(400)
        await scene.snapshot(alive=alive)
        await load.sent(scene.rng.randrange(50, 600))
        await scene.put_back(alive=alive)
        await load.sent(200)
    await scene.repeat()
    await scene.check(dict.fromkeys(READERS, NOTHING))
    said = await scene.audit()
    assert (said["differences"], said["lost"]) == ([], {})


async def kafka_is_put_back(scene: SnapshotScene, late: Role) -> None:
    """What a role had not read is lost for it, and nothing else."""
    async with scene.load() as load:
        await load.sent(400)
    await scene.snapshot(alive=False)
    if late:
        await scene.leave(late)
    async with scene.load() as load:
        await load.sent(scene.rng.randrange(50, 600))
    await scene.check({role: NOTHING for role in READERS if role != late})
    gap = await scene.gap_of(late) if late else NOTHING
    assert bool(gap.sizes) == bool(late)
    await scene.put_back(alive=False)
    async with scene.load() as load:
        await load.sent(200)
    await scene.repeat()
    await scene.settled()
    await scene.check({role: gap if role == late else NOTHING for role in READERS})
    lost = {role: sum(gap.sizes.values()) if role == late else 0 for role in READERS}
    assert {role: await scene.lost(role) for role in READERS} == lost
    said = await scene.audit()
    by_name = {f"{scene.names.events}-{part}": n for part, n in gap.sizes.items()}
    assert said["lost"] == (by_name if late == "store" else {})
    assert bool(said["differences"]) == (late in ("store", "count"))
