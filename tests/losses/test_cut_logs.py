"""Kafka loses the end of its logs: no offset is used twice, and what is gone is counted."""

from __future__ import annotations

import random

import pytest

from app.kafka.topics import ensure_topics
from app.names import Names
from tests.conftest import MakeSettings, StartWorker
from tests.support.losing_kafka import LosingKafka, LostScene

pytestmark = pytest.mark.kill  # `make soak` cuts elsewhere each time
QUICK = {"events_partitions": 2, "counts_partitions": 2, "summary_interval_s": 0.3}


async def test_workers_that_live_on_count_what_a_cut_took_and_all_that_comes_after(
    losing_kafka: LosingKafka,
    make_settings: MakeSettings,
    start_worker: StartWorker,
    rng: random.Random,
) -> None:
    settings = await make_settings(kafka=losing_kafka.address, **QUICK)
    await ensure_topics(settings)
    for role in ("store", "count"):
        await start_worker(settings, role)
    names = Names(settings.namespace)
    async with LostScene(settings, losing_kafka, rng) as scene:
        await scene.send_until_killed()
        assert losing_kafka.cut(names.events, scene.rng)
        await losing_kafka.start()
        await scene.send_on()
        await scene.check_store()
        await scene.check_counts()


async def test_after_a_power_cut_of_everything_all_is_right_without_a_word_from_anybody(
    losing_kafka: LosingKafka,
    make_settings: MakeSettings,
    start_worker: StartWorker,
    rng: random.Random,
) -> None:
    settings = await make_settings(kafka=losing_kafka.address, **QUICK)
    await ensure_topics(settings)
    workers = [await start_worker(settings, role) for role in ("store", "count")]
    names = Names(settings.namespace)
    async with LostScene(settings, losing_kafka, rng) as scene:
        await scene.send_until_killed()
        for worker in workers:
            worker.child.kill()
        topics = (names.events, names.counts, names.partials_changelog, names.totals_changelog)
        for topic in (*topics, names.judged_changelog, names.sessions_changelog, names.uniques):
            losing_kafka.cut(topic, scene.rng)
        await losing_kafka.start()
        for worker in workers:
            worker.start()
        await scene.send_on()
        await scene.check_store()
        await scene.check_counts()
