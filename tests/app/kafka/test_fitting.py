"""Topics of a Kafka of our own follow the settings, and take nothing from who has not read it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import pytest

from app.errors import StartError
from app.kafka.altering import alter
from app.kafka.fitting import Stored, fit_topics, shorten_topics
from app.kafka.topic_faults import Change, TopicSpec
from app.kafka.topics import ensure_topics
from app.names import Names
from app.settings import Settings
from tests.app.kafka.test_topics import config_of
from tests.support.kafka_client import KafkaClient
from tests.support.waiting import wait_until

DAY_MS = 24 * 3_600_000


def keeping(settings: Settings, hours: int) -> Settings:
    """Return settings with another retention."""
    return settings.model_copy(update={"events_retention_hours": hours})


async def retention(kafka: KafkaClient, topic: str) -> float:
    """Return how long a topic keeps records, in hours."""
    return int((await config_of(kafka, topic))["retention.ms"]) / 3_600_000


def known(stored: Stored | None = None) -> Callable[[], Awaitable[Stored]]:
    """Return what answers what is known of groups beside their commits."""

    async def answer() -> Stored:
        return stored or {}

    return answer


async def test_a_longer_retention_is_set_and_said_in_a_line(
    kafka: KafkaClient, settings: Settings, topics: Names
) -> None:
    longer = keeping(settings, 240)
    with pytest.raises(StartError, match="Set EVENT_COUNTER_EVENTS_RETENTION_HOURS=168, or"):
        await ensure_topics(longer)
    all_three = f"{topics.events}, {topics.rejected}, {topics.totals}"
    assert await fit_topics(longer, 1) == [f"retention of {all_three}: 168 h -> 240 h"]
    assert await ensure_topics(longer) == []
    assert await retention(kafka, topics.events) == 240
    assert await fit_topics(longer, 1) == await shorten_topics(longer, 1, known()) == []


async def test_a_shorter_retention_waits_for_who_has_not_read_what_would_go(
    kafka: KafkaClient, settings: Settings, topics: Names
) -> None:
    groups = topics.count_group, topics.store_group, topics.archive_group
    now_ms = int(time.time() * 1000)
    await kafka.send(topics.events, [b"{}"] * 3, 1, timestamp_ms=now_ms - 2 * DAY_MS)
    await kafka.send(topics.events, [b"{}"], 1, timestamp_ms=now_ms)
    shorter = keeping(settings, 24)
    all_three = topics.events, topics.rejected, topics.totals
    assert await fit_topics(shorter, 1) == []

    async def held(stored: dict[str, dict[int, int]]) -> str:
        (line,) = await shorten_topics(shorter, 1, known(stored))
        # What is rejected may wait for `replay`, which does not come before events are counted.
        assert [await retention(kafka, topic) for topic in all_three] == [168] * 3
        return line

    for read in (0, 2, 3):
        for group in groups[:2]:
            await kafka.commit(group, topics.events, {1: read})
        line = await held({})
        assert line.startswith(f"retention of {', '.join(all_three)} stays 168 h: ")
        found = [f"{group} has not read {3 - read} records" in line for group in groups[:2]]
        assert found == [read < 3, read < 3], line
        assert f"{topics.archive_group} has not read 3 records older than 24 h" in line
    await kafka.commit(topics.archive_group, topics.events, {1: 3})
    put_back = await held({topics.store_group: {1: 1}})  # its Postgres was, behind its commits
    assert f"{topics.store_group} has not read 2 records" in put_back
    assert await shorten_topics(shorter, 1, known({topics.store_group: {1: 4}})) == [
        f"retention of {', '.join(all_three)}: 168 h -> 24 h"
    ]
    assert [await retention(kafka, topic) for topic in all_three] == [24] * 3


async def test_what_is_spelled_out_is_set_and_what_else_somebody_has_set_stays(
    kafka: KafkaClient, settings: Settings, topics: Names
) -> None:
    counts, events = TopicSpec(topics.counts, 4, {}), TopicSpec(topics.events, 4, {})
    async with kafka.admin() as admin:
        wrong = [
            Change(counts, "cleanup.policy", "", "delete"),
            Change(counts, "segment.bytes", "", "1048576"),
            Change(counts, "max.message.bytes", "", "1000"),
            Change(events, "retention.bytes", "", "1000000"),
        ]
        await alter(admin, wrong)
    await wait_until(
        lambda: config_of(kafka, topics.events), lambda found: found["retention.bytes"] == "1000000"
    )
    assert await fit_topics(settings, 1) == [
        f"cleanup.policy of {topics.counts}: delete -> compact",
        f"segment.bytes of {topics.counts}: 1048576 -> 67108864",
        f"max.message.bytes of {topics.counts}: 1000 -> 1048576",
    ]
    found = await config_of(kafka, topics.counts)
    assert (found["cleanup.policy"], found["min.cleanable.dirty.ratio"]) == ("compact", "0.3")
    assert (await config_of(kafka, topics.events))["retention.bytes"] == "1000000"


async def test_what_kafka_refuses_names_the_topic(kafka: KafkaClient, topics: Names) -> None:
    change = Change(TopicSpec(topics.events, 4, {}), "retention.ms", "", "soon")
    async with kafka.admin() as admin:
        with pytest.raises(StartError, match=f"topic {topics.events}: InvalidConfig"):
            await alter(admin, [change])
