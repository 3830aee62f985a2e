"""More partitions for `events`: Kafka adds them here, the tables are counted again for them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import monotonic

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from app.errors import StartError
from app.kafka.clients import KafkaClients, kafka_away
from app.kafka.groups import members_of
from app.kafka.topics import topics_there
from app.names import Names
from app.settings import Settings

SETTING = "EVENT_COUNTER_EVENTS_PARTITIONS"
LEFT_S = 2.0  # beyond the session of a worker that ended without a word
POLL_S = 0.5
VISIBLE_S = 30.0


async def is_grown(settings: Settings, version: int) -> bool:
    """Whether `events` and the tables of a version have as many partitions as the settings say.

    Raises StartError where `events` has more, or is not there, and KafkaUnavailableError.
    """
    names, wanted = Names(settings.namespace, version), settings.events_partitions
    with kafka_away():
        there = await topics_there(settings, version)
    if names.events not in there:
        raise StartError(f"There is no topic {names.events} yet: event-counter run makes it")
    if (found := there[names.events].partitions) > wanted:
        raise StartError(
            f"Topic {names.events} has {found} partitions, and Kafka takes none away: set "
            f"{SETTING}={found} or more"
        )
    changelog = there.get(names.partials_changelog)
    return found == wanted and (changelog is None or changelog.partitions == wanted)


async def add_partitions(settings: Settings, version: int) -> None:
    """Return once `events` has as many partitions as the settings say.

    Raises StartError where workers run: each would go on with as many as it knows of, and
    KafkaUnavailableError.
    """
    names = Names(settings.namespace, version)
    admin = KafkaClients.of(settings).admin()
    try:
        with kafka_away():
            await admin.start()
            await _wait_for_workers(
                admin,
                [names.count_group, names.store_group, names.archive_group],
                settings.session_timeout_s + LEFT_S,
            )
            if await _partitions(admin, names.events) < settings.events_partitions:
                more = NewPartitions(settings.events_partitions)
                await admin.create_partitions({names.events: more})
            await _wait_until_visible(admin, names.events, settings.events_partitions)
    finally:
        await admin.close()


async def _wait_for_workers(
    admin: AIOKafkaAdminClient, groups: Sequence[str], seconds: float
) -> None:
    until = monotonic() + seconds
    while running := await _with_members(admin, groups):
        if monotonic() > until:
            raise StartError(
                f"Workers are running: {', '.join(running)} have members. Stop all workers first"
            )
        await asyncio.sleep(POLL_S)


async def _with_members(admin: AIOKafkaAdminClient, groups: Sequence[str]) -> list[str]:
    return [group for group in groups if await members_of(admin, group)]


async def _wait_until_visible(admin: AIOKafkaAdminClient, topic: str, wanted: int) -> None:
    until = monotonic() + VISIBLE_S
    while await _partitions(admin, topic) < wanted:
        if monotonic() > until:
            raise StartError(f"Kafka has no leader for all {wanted} partitions of {topic}")
        await asyncio.sleep(POLL_S)


async def _partitions(admin: AIOKafkaAdminClient, topic: str) -> int:
    """Return how many partitions of a topic have a leader."""
    (found,) = await admin.describe_topics([topic])
    return sum(not part["error_code"] for part in found["partitions"])
