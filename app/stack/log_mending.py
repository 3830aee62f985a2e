"""Who remembers the log of `events`, put together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiokafka import TopicPartition

from app.archive.files import Folders
from app.archive.reached import ArchiveMemory
from app.events.filler import filler, told_by
from app.kafka.clients import KafkaClients, kafka_away
from app.kafka.log import KafkaLog
from app.kafka.mending import LOOK_S, FilledGap, Groups, LogMemory, Mender, Padding
from app.kafka.tables_version import current_version
from app.names import Names
from app.settings import Settings
from app.stores.stored_positions import StoredPositions


def mend_events(settings: Settings) -> Callable[[Mapping[int, int]], Awaitable[list[FilledGap]]]:
    """Return what fills up `events`, given what the caller remembers of it."""

    async def mend(known: Mapping[int, int]) -> list[FilledGap]:
        return await (await events_mender(settings)).mend(known)

    return mend


async def events_mender(settings: Settings, version: int | None = None) -> Mender:
    """Return what fills up `events`; version: of the tables, asked for where it is not given.

    Raises KafkaUnavailableError.
    """
    if version is None:
        with kafka_away("Kafka does not say which tables count"):
            async with asyncio.timeout(LOOK_S):
                version = await current_version(settings)
    kafka, names = KafkaClients.of(settings), Names(settings.namespace, version)
    readers = names.count_group, names.store_group, names.archive_group
    memories: list[LogMemory] = [ArchiveMemory(Folders.of(settings), names.events)]
    stored = None
    if dsn := settings.postgres.get_secret_value():
        stored = StoredPositions(dsn, names.events, KafkaLog(kafka).cluster)
        memories.append(stored)
    return Mender(
        kafka,
        [TopicPartition(names.events, number) for number in range(settings.events_partitions)],
        Padding(lambda until: (None, filler(until)), told_by),
        Groups(kafka, names.events, readers),
        memories,
        stored,
    )
