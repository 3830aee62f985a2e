"""Three count workers that come, go, die and freeze under load."""

from __future__ import annotations

import asyncio

import pytest

from tests.kill.conftest import MakeScene
from tests.support.event_maker import HOT_URLS
from tests.support.never_less import never_less

pytestmark = pytest.mark.kill

FREEZE_S = 8.0  # longer than the session timeout: the partitions move, and a zombie wakes up


async def test_three_count_workers_through_rebalances_kills_and_freezes(
    make_scene: MakeScene, soaking: bool
) -> None:
    scene = await make_scene()
    crew, rng, tally = scene.crew, scene.rng, scene.tally
    workers = [crew.hire("count") for _ in range(3)]
    for worker in workers[:2]:
        worker.join()
    async with never_less(crew.urls, HOT_URLS), scene.load(rate=250) as load:
        await crew.ready()
        workers[2].join()
        whats = ["kill", "kill", "wipe", "leave", "leave for long", "freeze"]
        for what in rng.sample(whats, len(whats) if soaking else 4):
            await load.sent(rng.randrange(30, 500))
            worker = rng.choice(workers)
            if what in ("kill", "wipe"):
                worker.kill(wipe=what == "wipe")
            elif what == "freeze":
                await worker.freeze(FREEZE_S)
            else:
                await worker.leave()
                await asyncio.sleep(FREEZE_S if what == "leave for long" else rng.random())
                worker.join()
        found = await scene.compare_with(load)
        await crew.ready()
    found.frozen = tally.freezes > 0
    await found.counted()
    await found.summed()
    await found.live()
    await found.caught_up()
    await scene.rebuilt()
    await found.counted()
    tally.exact = True
    # A worker that was frozen may find itself replaced, and ends.
    assert len(tally.surprises) <= tally.freezes
