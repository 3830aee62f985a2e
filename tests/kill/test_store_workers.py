"""Store workers killed under load."""

from __future__ import annotations

import asyncio

import pytest

from tests.kill.conftest import MakeScene
from tests.support.crew import DyingWorker, moments
from tests.support.dying_worker import Fate

pytestmark = pytest.mark.kill


async def test_two_store_workers_killed_at_random_moments_and_inside_a_transaction(
    make_scene: MakeScene,
) -> None:
    scene = await make_scene()
    crew, rng = scene.crew, scene.rng
    dying, other = crew.hire("store", dying=True), crew.hire("store")
    assert isinstance(dying.worker, DyingWorker)
    ends = [Fate("copy"), Fate("copy"), Fate("stored"), Fate("commit")]
    dying.worker.fates = [
        Fate(end.where, after=rng.randrange(6)).to_json() for end in rng.sample(ends, len(ends))
    ]
    async with scene.load(rate=300) as load:
        dying.join()
        for pause in moments(rng, 4, 3.0):
            await load.sent(rng.randrange(50, 500))
            if not other.worker.child.alive():
                other.join()
            await asyncio.sleep(pause)
            other.kill()
        await dying.died(len(ends))
        found = await scene.compare_with(load)
    await found.stored()
    scene.tally.exact = True
    assert not scene.tally.surprises
