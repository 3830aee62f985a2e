"""A log that ends before what somebody has read of it is filled up, before anything comes in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import pytest
from aiokafka import TopicPartition

from app.errors import PostgresUnavailableError, StartError
from app.events.filler import again, filler, is_filler, losses_of, told_by
from app.kafka.clients import KafkaClients
from app.kafka.mending import FilledGap, Groups, Log, Mender, Padding, find_short
from app.kafka.topics import ensure_topics
from app.names import Names
from app.settings import Settings
from app.stack.log_mending import events_mender
from app.stores.stored_positions import StoredPositions
from tests.support.batches import events
from tests.support.database import Database
from tests.support.kafka_client import KafkaClient


class Remembers:
    """A memory of some positions; None: it is away."""

    name = "somebody"

    def __init__(self, positions: Mapping[int, int] | None) -> None:
        self._positions = positions

    async def positions(self) -> Mapping[int, int]:
        """Return them."""
        if self._positions is None:
            raise PostgresUnavailableError("away")
        return self._positions


@pytest.mark.parametrize(
    ("remembered", "short"),
    [
        ([], []),
        ([("a", {0: 100}), ("b", {1: 7})], []),
        ([("a", {0: 101})], [FilledGap(0, 100, 101, "a")]),
        ([("a", {0: 101}), ("b", {0: 150}), ("c", {0: 120})], [FilledGap(0, 100, 150, "b")]),
        ([("a", {1: 8, 0: 300, 9: 5})], [FilledGap(0, 100, 300, "a"), FilledGap(1, 7, 8, "a")]),
        ([("a", {0: -1})], []),
    ],
)
def test_who_remembers_most_says_how_long_a_log_must_be(
    remembered: list[tuple[str, dict[int, int]]], short: list[FilledGap]
) -> None:
    assert find_short({0: Log(20, 100), 1: Log(0, 7)}, remembered) == short


class Placed(NamedTuple):
    """A record of `events`."""

    offset: int
    value: bytes


def placed(first: int, *runs: tuple[int, bytes]) -> list[Placed]:
    """Return runs of (how many, value), one after the other."""
    values = [value for count, value in runs for _ in range(count)]
    return [Placed(first + at, value) for at, value in enumerate(values)]


REAL = b"{}"


@pytest.mark.parametrize(
    ("records", "seen", "lost"),
    [
        (placed(0, (5, REAL)), -1, 0),
        (placed(10, (20, filler(30))), 9, 20),
        (placed(10, (20, filler(30))), 24, 5),  # it had read a part of what is gone
        (placed(10, (20, filler(30)), (3, REAL)), 29, 0),
        (placed(10, (20, filler(30)), (20, filler(30)), (4, REAL)), 9, 20),  # two filled at once
        (placed(10, (20, filler(30)), (24, filler(34)), (1, REAL)), 9, 24),  # one knew more
        (placed(10, (20, filler(30)), (20, filler(30)), (24, filler(34))), 29, 4),
        (placed(10, (24, filler(34)), (20, filler(30))), 9, 24),
        (placed(10, (20, filler(30)), (5, REAL), (3, again()), (5, filler(43))), 9, 25),
    ],
)
def test_what_is_lost_is_counted_once_however_many_fill_up(
    records: list[Placed], seen: int, lost: int
) -> None:
    assert losses_of(records, seen, 0).lost == lost
    for cut in range(len(records)):  # in two batches, the second one partly again
        first = losses_of(records[:cut], seen, 0)
        reached = max(seen, records[cut - 1].offset) if cut else seen
        second = losses_of(records[max(0, cut - 3) :], reached, first.void)
        assert first.lost + second.lost == lost


def test_no_event_looks_like_a_filler() -> None:
    assert is_filler(filler(3))
    assert is_filler(again())
    assert not any(is_filler(value) for value in (None, b"", b"\0", b"{}", *events(range(2))))


def mender_of(kafka: KafkaClient, names: Names, *memories: Remembers) -> Mender:
    """Return one of the first two partitions of `events`."""
    clients = KafkaClients(kafka.address)
    parts = [TopicPartition(names.events, number) for number in range(2)]
    groups = Groups(clients, names.events, [names.store_group])
    padding = Padding(lambda until: (None, filler(until)), told_by)
    return Mender(clients, parts, padding, groups, memories)


async def test_what_is_short_is_filled_up_and_then_nothing_is_short(
    kafka: KafkaClient, topics: Names
) -> None:
    await kafka.send(topics.events, events(range(10)), 0)
    mender = mender_of(kafka, topics, Remembers({0: 70_000}))
    assert await mender.mend({0: 12}) == [FilledGap(0, 10, 70_000, "somebody")]
    assert await mender.mend() == []
    assert (await kafka.ends(topics.events))[0] == 70_000
    records = await kafka.read(topics.events)
    assert [is_filler(record.value) for record in records] == [False] * 10 + [True] * 69_990
    assert losses_of(records, -1, 0).lost == 69_990


async def test_who_knows_of_more_than_two_that_padded_at_once_says_so(
    kafka: KafkaClient, topics: Names
) -> None:
    """The log is longer than all that anybody knows of: each of the two has padded all of it."""
    await kafka.send(topics.events, [*events(range(10)), *[filler(20)] * 20], 0)
    mender = mender_of(kafka, topics)
    assert await mender.mend({0: 20, 1: 0}) == []
    assert (await kafka.ends(topics.events))[0] == 30, "nothing was left out"
    for _ in range(2):
        assert await mender.mend({0: 24}) == []
        records = await kafka.read(topics.events)
        assert losses_of(records, -1, 0).lost == 14
        assert len(records) == 31


async def test_what_follows_the_padding_was_not_there_before(
    kafka: KafkaClient, topics: Names
) -> None:
    await kafka.send(topics.events, [*events(range(10)), *[filler(20)] * 10, *events([1, 2])], 0)
    assert await mender_of(kafka, topics).mend({0: 22}) == []
    assert (await kafka.ends(topics.events))[0] == 22


async def test_nothing_waits_for_somebody_who_is_away(kafka: KafkaClient, topics: Names) -> None:
    mender = mender_of(kafka, topics, Remembers(None), Remembers({1: 3}))
    assert await mender.mend() == [FilledGap(1, 0, 3, "somebody")]


async def test_a_log_that_is_new_goes_on_where_postgres_is_without_a_filler_to_read(
    kafka: KafkaClient, settings: Settings, topics: Names
) -> None:
    database = Database(settings.postgres.get_secret_value())
    await (await events_mender(settings)).mend()  # makes the schema
    await database.fetch(
        "insert into sink_offsets (topic, partition, next_offset, stored, cluster)"
        " values ($1, 2, 500, 400, 'another')",
        topics.events,
    )
    assert await (await events_mender(settings)).mend() == [FilledGap(2, 0, 500, "Postgres")]
    assert await kafka.send(topics.events, events([1]), 2) == [500]
    assert [record.offset for record in await kafka.read(topics.events)] == [500]
    assert (await kafka.committed(topics.count_group, topics.events))[2] == 500
    clusters = await database.fetch("select cluster from sink_offsets")
    assert clusters[0][0] not in ("", "another")
    assert await (await events_mender(settings)).mend() == []


async def test_another_cluster_with_records_of_its_own_stops_the_start(
    kafka: KafkaClient, settings: Settings, topics: Names
) -> None:
    await (await events_mender(settings)).mend()
    await Database(settings.postgres.get_secret_value()).fetch(
        "insert into sink_offsets (topic, partition, next_offset, stored, cluster)"
        " values ($1, 0, 500, 400, 'another')",
        topics.events,
    )
    await kafka.send(topics.events, events(range(3)), 0)
    with pytest.raises(StartError, match=r"another.*3 records of its own.*-0\."):
        await (await events_mender(settings)).mend()
    assert (await kafka.ends(topics.events))[0] == 3


async def test_postgres_that_is_away_remembers_nothing_and_stops_nothing() -> None:
    async def cluster() -> str:
        return "c"

    gone = StoredPositions("postgresql://u@127.0.0.1:1/x", "events", cluster)
    with pytest.raises(PostgresUnavailableError):
        await gone.positions()
    await gone.check({0: Log(0, 5)})
    await gone.accept()


async def test_the_largest_offset_in_the_names_of_the_archive_is_remembered(
    kafka: KafkaClient, settings: Settings
) -> None:
    names = Names(settings.namespace)
    await ensure_topics(settings)
    folder = settings.data_dir / "archive" / "date=2026-11-23"
    folder.mkdir(parents=True)
    for first, last in ((0, 41), (10, 20)):
        (folder / f"{names.events}-1-{first:012d}-{last:012d}.c.parquet").touch()
    assert await (await events_mender(settings)).mend() == [FilledGap(1, 0, 42, "the archive")]
    assert (await kafka.ends(names.events))[1] == 42
