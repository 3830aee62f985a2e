"""Rates from sampled offsets: the arithmetic, the real Kafka, and outages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from itertools import count

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from app.errors import UnavailableError
from app.kafka.tables_version import FIRST, switch_version
from app.kafka.topics import ensure_topics
from app.monitor.rates import RateSampler, Sample, rates_between
from app.names import Names
from app.settings import Settings
from tests.support.kafka_client import KafkaClient
from tests.support.waiting import SOON_S


def sample(at: float, received: int, counted: int, stored: int, rejected: int) -> Sample:
    return Sample(
        at, received, counted, stored, rejected, {("count", "events-0"): received - counted}
    )


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (sample(0, 0, 0, 0, 0), sample(10, 100, 100, 90, 0), (10, 10, 9, 0)),
        (sample(5, 7, 3, 2, 1), sample(7, 27, 23, 2, 5), (10, 8, 0, 2)),
        (sample(0, 0, 0, 0, 0), sample(3, 1, 1, 1, 0), (0.3, 0.3, 0.3, 0)),
        (sample(0, 9, 9, 9, 0), sample(1, 9, 9, 9, 0), (0, 0, 0, 0)),
        # rejected before their batch was committed; a topic that was made anew
        (sample(0, 9, 0, 0, 0), sample(1, 9, 0, 0, 9), (0, 0, 0, 9)),
        (sample(0, 900, 900, 900, 50), sample(1, 5, 5, 5, 0), (0, 0, 0, 0)),
    ],
)
def test_rates_are_what_happened_per_second(
    before: Sample, after: Sample, expected: tuple[float, ...]
) -> None:
    found = rates_between(before, after, 1_700_000_000)
    assert (found.received, found.counted, found.stored, found.rejected) == expected
    assert found.waiting == after.waiting


@pytest.fixture
async def make_sampler(
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Callable[..., RateSampler]]:
    """Return a factory of samplers whose clock goes on by a second with each sample."""
    made: list[RateSampler] = []
    for patient in ("app.monitor.rates.ANSWER_S", "app.kafka.offsets.ANSWER_S"):
        monkeypatch.setattr(patient, SOON_S)  # with a Kafka that others keep busy, too
    monkeypatch.setattr("app.kafka.offsets.REQUEST_MS", SOON_S * 1000)

    def make(settings: Settings, step_s: float = 1.0) -> RateSampler:
        seconds = count(step=step_s)
        made.append(RateSampler(settings, clock=lambda: float(next(seconds)), wall=lambda: 0.0))
        return made[-1]

    yield make
    for sampler in made:
        await sampler.keeper.stop()
        await sampler.close()


async def commit(kafka: str, group: str, topic: str, offsets: dict[int, int]) -> None:
    async with AIOKafkaConsumer(
        bootstrap_servers=kafka, group_id=group, enable_auto_commit=False
    ) as consumer:
        consumer.assign([TopicPartition(topic, number) for number in offsets])
        await consumer.commit({TopicPartition(topic, n): at for n, at in offsets.items()})


async def test_each_figure_comes_from_its_topic_and_group(
    settings: Settings,
    topics: Names,
    kafka: KafkaClient,
    make_sampler: Callable[..., RateSampler],
) -> None:
    await kafka.send(topics.events, [b"{}"] * 7, 3)
    sampler = make_sampler(settings)
    await sampler.sample()
    with pytest.raises(UnavailableError):
        sampler.current()  # one sample is no rate
    await kafka.send(topics.events, [b"{}"] * 20, 1)
    await kafka.send(topics.rejected, [b"{}"] * 2)
    await commit(settings.kafka, topics.count_group, topics.events, {1: 20, 3: 7})
    await commit(settings.kafka, topics.store_group, topics.events, {1: 5})
    await sampler.sample()
    found = sampler.history[-1]
    counted = 25  # 27 read, 2 of them rejected
    assert (found.received, found.counted, found.stored, found.rejected) == (20, counted, 5, 2)
    assert found.lag == {topics.count_group: 0, topics.store_group: 22, topics.archive_group: 27}
    assert found.waiting[topics.store_group, f"{topics.events}-1"] == 15


async def test_only_the_last_ten_seconds_and_sixty_samples_matter(
    settings: Settings,
    topics: Names,
    kafka: KafkaClient,
    make_sampler: Callable[..., RateSampler],
) -> None:
    sampler = make_sampler(settings)
    await sampler.sample()
    await kafka.send(topics.events, [b"{}"] * 100, 0)
    for expected in (100, 50, 33.3, 25, 20, 16.7, 14.3, 12.5, 11.1, 10, 0):
        await sampler.sample()
        assert sampler.history[-1].received == expected
    for _ in range(60):
        await sampler.sample()
    assert len(sampler.history) == 60


async def test_while_other_tables_are_asked_for_the_first_time_there_are_no_rates(
    settings: Settings, make_sampler: Callable[..., RateSampler]
) -> None:
    await ensure_topics(settings)
    sampler = make_sampler(settings)
    for _ in range(2):
        await sampler.sample()
    assert sampler.current()
    await switch_version(settings, FIRST + 1)
    sampling, refused = asyncio.create_task(sampler.sample()), 0
    while not sampling.done():
        try:
            sampler.current()
        except UnavailableError:
            refused += 1
        await asyncio.sleep(0)
    await sampling
    assert refused


async def test_without_topics_or_kafka_there_are_no_rates(settings: Settings) -> None:
    for own in (settings, settings.model_copy(update={"kafka": "127.0.0.1:1"})):
        sampler = RateSampler(own)
        with pytest.raises(UnavailableError):
            await sampler.sample()
        with pytest.raises(UnavailableError, match="no rates"):
            sampler.current()
