"""Changelog topics that somebody deletes under load: the worker sends all that it has again."""

from __future__ import annotations

import asyncio
from itertools import groupby

import pytest

from app.kafka.topics import ensure_topics
from tests.kill.conftest import MakeScene, Scene

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


async def made_anew_as_long(scene: Scene, topic: str) -> None:
    """Delete a changelog and make it again: all of a partition's records are its first one."""
    before = await scene.kafka.read(topic)
    ends = await scene.kafka.ends(topic)
    await scene.kafka.delete(topic)
    await ensure_topics(scene.settings)
    for partition, records in groupby(before, lambda record: record.partition):
        first = next(record for record in records if record.value is not None)
        values = [first.value or b""] * ends[partition]
        await scene.kafka.send(topic, values, partition, key=first.key)
    assert await scene.kafka.ends(topic) == ends


async def test_a_changelog_made_anew_that_is_as_long_as_it_was_gets_all_rows_again(
    make_scene: MakeScene, soaking: bool
) -> None:
    """Its end says nothing then, and somebody may have written to it what RocksDB has not read."""
    scene = await make_scene()
    worker, collector = scene.crew.hire("count"), scene.crew.hire("collect")
    worker.join()
    collector.join()
    await scene.crew.ready()
    async with scene.load(http=True, rate=200, most=4000) as load:
        for table in scene.rng.sample(TABLES, len(TABLES) if soaking else 2):
            await load.sent(300)
            await worker.end()
            await made_anew_as_long(scene, getattr(scene.names, f"{table}_changelog"))
            worker.join()
            await scene.crew.ready()
            await load.sent(300)
        found = await scene.compare_with(load)
    await found.counted()
    await found.caught_up()
    await scene.rebuilt()
    await found.counted()
    scene.tally.exact = True
