"""Where alerts are to be read on, whatever became of their log since they were delivered.

A power cut, an unclean election or a restored volume may take alerts away that were delivered. The
group's offset lies behind the end of the log then, or, once more alerts were raised, in the middle
of what nobody has got. So each commit says how new the newest alert was that was delivered.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import NamedTuple

from aiokafka import TopicPartition

from app.kafka.clients import KafkaClients
from app.kafka.groups import kept
from app.kafka.reader import PartitionReader
from app.text import number_in

log = logging.getLogger(__name__)


class AlertsDone(NamedTuple):
    """All below an offset was delivered; newest: ms since 1970 of its newest record, 0: unknown."""

    offset: int
    newest: int


NOTHING = AlertsDone(0, 0)


async def read_on(
    kafka: KafkaClients, group: str, parts: Collection[TopicPartition]
) -> dict[TopicPartition, AlertsDone]:
    """Return what a group has delivered of what each partition holds now; raise KafkaError.

    Asked over connections of their own: on that of a consumer each question waits for the end of a
    fetch, so that those of a few partitions take longer than a member of a group may be silent.
    """
    found = await delivered(kafka, group)
    done = {part: found.get(part, NOTHING) for part in parts}
    async with PartitionReader(kafka, list(parts)) as reader:
        begins, ends = await reader.begins(), await reader.ends()
        moments = {part: newest + 1 for part, (_, newest) in done.items() if newest}
        later = await reader.since(moments)
    starts = {}
    for part, (offset, newest) in done.items():
        # What is later than all that was delivered is another record than the one delivered there.
        at = min(offset, ends[part], later.get(part, offset))
        starts[part] = AlertsDone(max(at, begins[part]), newest)
        if at < offset:
            log.error("%s lost alerts that were delivered: it is read on from %d", part, at)
    return starts


async def delivered(kafka: KafkaClients, group: str) -> dict[TopicPartition, AlertsDone]:
    """Return what a group has committed; raise KafkaError."""
    admin = kafka.admin()
    try:
        await admin.start()
        found = await kept(admin, group)
    finally:
        await admin.close()
    return {
        part: AlertsDone(offset, number_in(note.encode()) or 0)
        for part, (offset, note) in found.items()
    }
