"""A Kafka that goes away while a count worker starts, for longer than Faust waits for an answer."""

from __future__ import annotations

import asyncio

import pytest

from app.stack.kafka import Kafka
from tests.kill.conftest import MakeScene
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kill, pytest.mark.timeout(400)]

AWAY_S = 100.0  # Faust's recovery waits for 90
ASSIGNED = "Executing _on_partitions_assigned"
RECOVERY_S = 0.5


async def test_a_count_worker_gets_ready_after_kafka_went_away_while_it_started(
    make_scene: MakeScene, kafka_part: Kafka, soaking: bool
) -> None:
    scene = await make_scene()
    worker = scene.crew.hire("count")
    worker.join()
    await scene.crew.ready()
    worker.kill()
    log = worker.worker.child.log
    await wait_until(lambda: log.read_text().count(ASSIGNED), expected=2, every_s=0.005)
    await asyncio.sleep(scene.rng.uniform(0, RECOVERY_S))
    kafka_part.child.kill()
    scene.tally.outages += 1
    await asyncio.sleep(AWAY_S if soaking else 2)
    await kafka_part.start()
    await scene.crew.ready()
    async with scene.load() as load:
        await load.sent(200)
        found = await scene.compare_with(load)
    await found.counted()
    scene.tally.exact = True
