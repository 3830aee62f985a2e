"""A count worker that is frozen between its look at the published totals and its own message."""

from __future__ import annotations

import signal

import psutil
import pytest

from tests.kill.conftest import MakeScene
from tests.support.crew import DyingWorker
from tests.support.dying_worker import Fate
from tests.support.waiting import wait_until

pytestmark = pytest.mark.kill


async def test_who_wakes_up_with_old_totals_does_not_publish_them(make_scene: MakeScene) -> None:
    scene = await make_scene()
    frozen = scene.crew.hire("count", dying=True)
    assert isinstance(frozen.worker, DyingWorker)
    frozen.worker.fates = [Fate("news", after=1).to_json()]
    frozen.join()

    async def published() -> int:
        return len(await scene.kafka.values(scene.names.totals))

    async with scene.load(rate=50) as load:
        pid = await wait_until(lambda: frozen.worker.child.pid, bool)
        await wait_until(psutil.Process(pid).status, psutil.STATUS_STOPPED, deadline_s=60)
        scene.tally.freezes += 1
        before = await published()
        follower = scene.crew.hire("count")
        follower.join()
        await wait_until(published, lambda messages: messages > before, deadline_s=60)
        frozen.worker.child.signal(signal.SIGCONT)
        found = await scene.compare_with(load)
    await scene.crew.ready()
    found.frozen = True
    await found.counted()
    scene.tally.exact = True
