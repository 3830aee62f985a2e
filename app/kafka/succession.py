"""What tables of older versions may have counted, once nobody counts into them any more."""

from __future__ import annotations

import asyncio

from app.events.positions import EventPositions
from app.kafka.clients import KafkaClients
from app.kafka.table_topics import TableTopics
from app.kafka.tables_version import FIRST
from app.kafka.watermarks import Watermarks
from app.names import Names
from app.settings import Settings

POLL_S = 0.2


async def counted_before(settings: Settings, version: int) -> EventPositions:
    """Return up to where older tables may have counted `events`: no answer of them held more.

    Waits until the count workers of all older versions have ended. Where the topics of those are
    deleted, the new tables have caught up, and the answer is {}. Raises KafkaUnavailableError.
    """
    if version == FIRST:
        return {}
    kafka = KafkaClients.of(settings)
    async with TableTopics(kafka, settings.namespace) as topics:
        older = [other for other in await topics.by_version() if other < version]
        if not older:
            return {}
        for other in older:
            while await topics.members(other):
                await asyncio.sleep(POLL_S)
    async with Watermarks(kafka) as ends:  # only now: until now somebody answered
        return await ends.ends(Names(settings.namespace).events)
