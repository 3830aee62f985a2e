"""Count workers killed under load, at random moments and inside a flush."""

from __future__ import annotations

import asyncio
import json
import random

import pytest

from tests.kill.conftest import MakeScene
from tests.support.crew import DyingWorker, Member, moments
from tests.support.dying_worker import Fate
from tests.support.exactness import Exactness
from tests.support.ledger import Fact, Ledger

pytestmark = pytest.mark.kill


async def test_a_count_worker_killed_at_random_moments(
    make_scene: MakeScene, seed: int, soaking: bool
) -> None:
    scene = await make_scene(hourly_retention_days=seed % 2 * 2)
    crew, rng, tally = scene.crew, scene.rng, scene.tally
    worker, collector = crew.hire("count"), crew.hire("collect")
    worker.join()
    collector.join()
    await crew.ready()
    async with scene.load(http=True) as load:
        for pause in moments(rng, 7 if soaking else 4, 3.0):
            await load.sent(rng.randrange(50, 600))
            await asyncio.sleep(pause)
            disk = rng.choice(["kept", "kept", "wiped", "lost"])
            if disk == "lost":
                worker.lose_disk()
            worker.kill(wipe=disk == "wiped")
            if rng.random() < 0.7:
                await crew.ready()
        found = await scene.compare_with(load)
    await crew.ready()
    await found.counted()
    await found.summed()
    await found.live()
    await found.caught_up()
    await scene.rebuilt()
    await found.counted()
    tally.exact = True
    assert not tally.surprises


def fates(rng: random.Random) -> list[Fate]:
    """Return an end in every part of a flush, at seeded flushes, in a seeded order."""
    ends = [
        Fate("partials", rocksdb=True, changelog=False, counts=0.0),
        Fate("partials", rocksdb=False, changelog=True, counts=0.0),
        Fate("partials", rocksdb=False, changelog=False, counts=0.5),
        Fate("partials", rocksdb=True, changelog=rng.random() < 0.5, counts=0.5),
        Fate("partials"),
        Fate("totals", rocksdb=True, changelog=False),
        Fate("totals", rocksdb=False, changelog=True),
        Fate("totals"),
        Fate("uniques", rocksdb=True, changelog=False),
        Fate("uniques", rocksdb=False, changelog=True),
        Fate("uniques", lingers=True),
        Fate("judged", rocksdb=True, changelog=False),
        Fate("judged", rocksdb=False, changelog=True),
        Fate("messages", rocksdb=True, changelog=False),
        Fate("messages", rocksdb=False, changelog=True),
        Fate("messages", lingers=True),
        Fate("sessions", rocksdb=rng.random() < 0.5, changelog=rng.random() < 0.5),
        Fate("partials", lingers=True),
        Fate("totals", lingers=True),
        Fate("alerts", changelog=True),
        Fate("alerts", changelog=False),
        Fate("commit"),
    ]
    rng.shuffle(ends)
    return [
        Fate(**{**vars(end), "after": rng.randrange(8), "seed": rng.randrange(1000)})
        for end in ends
    ]


FATES = 9  # of them in a run that does not soak


def dying(member: Member, ends: list[Fate]) -> None:
    """Let the next processes of a member end so."""
    assert isinstance(member.worker, DyingWorker)
    member.worker.fates = [end.to_json() for end in ends]


async def test_a_count_worker_killed_in_every_part_of_a_flush(
    make_scene: MakeScene, soaking: bool
) -> None:
    scene = await make_scene()
    worker, ends = scene.crew.hire("count", dying=True), fates(scene.rng)
    if not soaking:
        del ends[FATES:]
    dying(worker, ends)
    async with scene.load(rate=200) as load:
        worker.join()
        for number in range(len(ends)):
            await worker.died(number)
            if scene.rng.random() < 0.2:
                worker.wipe_next()
        await worker.died(len(ends))
        found = await scene.compare_with(load)
    await scene.crew.ready()
    await found.counted()
    await found.caught_up()
    await scene.rebuilt()
    await found.counted()
    scene.tally.exact = True
    assert not scene.tally.surprises


@pytest.mark.parametrize("forgetful", [False, True])
async def test_only_replayed_rows_that_are_sent_again_keep_totals_exact(
    make_scene: MakeScene, forgetful: bool
) -> None:
    """The control: with that rule switched off, the comparison must see that totals are short."""
    scene = await make_scene()
    worker, rng = scene.crew.hire("count", dying=True), scene.rng
    once = Fate("partials", changelog=False, counts=0.0, after=0, forgetful=forgetful)
    dying(worker, [once, Fate("never", forgetful=forgetful)])
    ledger = Ledger()
    facts = [Fact(f"u{n}", "CLICK", f"/{rng.random()}", None) for n in range(2000)]
    ledger.facts = {fact.uuid: fact for fact in facts}
    values = [
        json.dumps({"uuid": fact.uuid, "type": fact.type, "url": fact.url}).encode()
        for fact in facts
    ]
    await scene.kafka.send(scene.names.events, values)
    ledger.acknowledged = set(ledger.facts)
    worker.join()
    await worker.died(1)
    await scene.crew.ready()
    found = await Exactness.of(scene.settings, scene.kafka, ledger, scene.crew.urls)
    scene.tally.events = len(facts)
    await found.caught_up()
    if forgetful:
        assert await found.table_differences()
    else:
        await found.counted()
    scene.tally.exact = True
    assert not scene.tally.surprises
