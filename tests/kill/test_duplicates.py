"""Clients that send everything three to five times, while everybody else is killed."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from app.settings import Role
from app.stack.kafka import Kafka
from app.stack.postgres import LocalPostgres
from tests.kill.conftest import MakeScene, Scene
from tests.support.crew import DyingWorker, Member, moments
from tests.support.dying_worker import Fate
from tests.support.ledger import Truth

DEATHS = {"count": 4, "store": 2}

pytestmark = [pytest.mark.kill, pytest.mark.timeout(400)]


def counted_more_than_once(truth: Truth) -> list[str]:
    """Return the events of which not exactly one record counts; bots count none."""
    left = truth.places.keys() - truth.duplicates
    counts = Counter(truth.places[place] for place in left)
    return [uuid for uuid in {*truth.places.values()} if counts[uuid] != 1]


def doomed(scene: Scene) -> list[Member]:
    """Hire a count and a store worker whose next processes end inside what they write."""
    rng = scene.rng
    ends: dict[Role, list[Fate]] = {
        "count": [
            Fate("messages", rocksdb=True, changelog=False, after=rng.randrange(6)),
            Fate("messages", rocksdb=False, changelog=True, after=rng.randrange(6)),
            Fate("partials", rocksdb=rng.random() < 0.5, changelog=False, counts=0.5),
            Fate("commit", after=rng.randrange(4)),
        ],
        "store": [Fate("copy", after=rng.randrange(4)), Fate("stored", after=rng.randrange(4))],
    }
    members = []
    for role, fates in ends.items():
        member = scene.crew.hire(role, dying=True)
        assert isinstance(member.worker, DyingWorker)
        member.worker.fates = [end.to_json() for end in rng.sample(fates, len(fates))]
        members.append(member)
    return members


async def test_what_clients_send_again_and_again_counts_once(
    make_scene: MakeScene, kafka_part: Kafka, postgres_part: LocalPostgres, soaking: bool
) -> None:
    scene = await make_scene()
    crew, rng, tally = scene.crew, scene.rng, scene.tally
    dying = doomed(scene)
    others = [crew.hire(role) for role in ("count", "store", "collect")]
    for member in crew.members:
        member.join()
    async with scene.load(http=True, straight=False, again=(3, 4, 5), lost=0.2, rate=120) as load:
        for pause in moments(rng, 4 if soaking else 2, 2.0):
            await load.sent(rng.randrange(50, 200))
            await asyncio.sleep(pause)
            rng.choice(others).kill()
        for part in (postgres_part, kafka_part):
            part.child.kill()
            tally.outages += 1
            await asyncio.sleep(rng.random() * 2)
            await part.start()
            await load.sent(100)
        await dying[0].died(DEATHS["count"])
        await dying[1].died(DEATHS["store"])
        found = await scene.compare_with(load)
    assert counted_more_than_once(found.truth) == []
    assert len(found.truth.duplicates) > len(found.truth.places) / 2
    await crew.ready()
    await found.everything()
    await found.caught_up()
    await scene.rebuilt()
    await found.counted()
    tally.exact = True
