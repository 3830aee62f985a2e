"""A count worker whose group rebalances once more in the moment in which it begins to recover."""

from __future__ import annotations

import pytest

from tests.kill.conftest import MakeScene
from tests.support.crew import DyingWorker
from tests.support.dying_worker import Fate

pytestmark = [pytest.mark.kill, pytest.mark.timeout(400)]

SESSION_S = 6.0


async def test_a_rebalance_right_before_a_recovery_reads_leaves_no_row_out(
    make_scene: MakeScene, soaking: bool
) -> None:
    scene = await make_scene(session_timeout_s=SESSION_S)
    worker = scene.crew.hire("count", dying=True)
    worker.join()
    await scene.crew.ready()
    async with scene.load() as load:
        for _ in range(5 if soaking else 1):
            await load.sent(300)
            deaths = worker.deaths
            assert isinstance(worker.worker, DyingWorker)
            worker.worker.fates.append(Fate("recovery").to_json())
            worker.kill(wipe=True)
            await worker.died(deaths + 1)
            await scene.crew.ready()
        found = await scene.compare_with(load)
    await found.counted()
    assert "Rejoining while a recovery begins" in worker.worker.child.log.read_text()
    scene.tally.exact = True
