"""Changelog topics that somebody deletes under load: the worker sends all that it has again."""

from __future__ import annotations

import asyncio

import pytest

from app.kafka.topics import ensure_topics
from tests.kill.conftest import MakeScene

pytestmark = pytest.mark.kill

TABLES = ("partials", "totals", "judged", "sessions", "uniques", "messages")
NOTICED_S = 120  # some 25 on a quiet machine: a commit that does not end is looked at after 20


@pytest.mark.parametrize("made_by", ["somebody", "nobody"])
async def test_a_changelog_that_is_deleted_under_load_gets_all_rows_again(
    make_scene: MakeScene, soaking: bool, made_by: str
) -> None:
    scene = await make_scene()
    worker, collector = scene.crew.hire("count"), scene.crew.hire("collect")
    worker.join()
    collector.join()
    await scene.crew.ready()
    usual = 2 if made_by == "somebody" else 1
    async with scene.load(http=True, rate=200, most=4000) as load:
        for table in scene.rng.sample(TABLES, len(TABLES) if soaking else usual):
            await load.sent(300)
            deaths = worker.deaths
            topic = getattr(scene.names, f"{table}_changelog")
            await scene.kafka.delete(topic)
            if made_by == "somebody":
                await asyncio.sleep(scene.rng.random())
                await ensure_topics(scene.settings)
            else:
                async with asyncio.timeout(NOTICED_S):
                    await worker.died(deaths + 1)
                assert f"topic {topic} is gone" in scene.tally.surprises[-1]
            await load.sent(300)
            await scene.crew.ready()
        found = await scene.compare_with(load)
    await found.counted()
    await found.caught_up()
    await scene.rebuilt()
    await found.counted()
    scene.tally.exact = True
