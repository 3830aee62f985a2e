"""What consumer groups have committed, and who is in them, asked of the broker that knows it."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.commit import OffsetFetchRequest

from app.kafka.clients import ask

ATTEMPTS = 20
RETRY_S = 0.1  # a coordinator that moves loads its groups in some tenths of a second
MEMBERS_AT = 5  # field of a described group, behind error, name, state, protocol type, protocol


async def coordinator(admin: AIOKafkaAdminClient, group: str) -> int:
    """Return the node that knows a group now; raise KafkaError."""
    for _ in range(ATTEMPTS):
        try:
            return int(await admin.find_coordinator(group))
        except KafkaError as exc:
            if not exc.retriable:
                raise
            error = exc
            await asyncio.sleep(RETRY_S)
    try:
        raise error
    finally:
        del error  # its traceback has this frame: a cycle, with all who called


class KeptOffset(NamedTuple):
    """What a group has committed for a partition, and what it noted with it."""

    offset: int
    note: str


async def committed(admin: AIOKafkaAdminClient, group: str) -> dict[TopicPartition, int]:
    """Return the offset that a group goes on from, of the partitions where it has committed one.

    Raises KafkaError.
    """
    return {part: found.offset for part, found in (await kept(admin, group)).items()}


async def kept(admin: AIOKafkaAdminClient, group: str) -> dict[TopicPartition, KeptOffset]:
    """As committed(), with what was noted.

    Asked of a broker that no longer coordinates the group, aiokafka's list_consumer_group_offsets
    returns nothing and raises nothing, as it looks at the errors of partitions alone: nothing
    would look committed. Raises KafkaError.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            node = await coordinator(admin, group)
            answer = await ask(admin, OffsetFetchRequest(group, None), node)
            if answer.error_code:
                raise for_code(answer.error_code)(f"no offsets of {group}")
        except KafkaError as exc:
            if not exc.retriable or attempt == ATTEMPTS:
                raise
            await asyncio.sleep(RETRY_S)
        else:
            break
    found: dict[TopicPartition, KeptOffset] = {}
    for topic, partitions in answer.topics:
        for partition, offset, note, code in partitions:
            if code:
                raise for_code(code)(f"no offset of {group} for {topic}-{partition}")
            if offset >= 0:
                found[TopicPartition(topic, partition)] = KeptOffset(offset, note or "")
    return found


async def members_of(admin: AIOKafkaAdminClient, group: str) -> int:
    """Return how many members a consumer group has."""
    # One group at a time: aiokafka takes the answer for two apart in the wrong places.
    (answer,) = await admin.describe_consumer_groups([group])
    return sum(len(found[MEMBERS_AT]) for found in answer.groups)
