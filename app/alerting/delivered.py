"""Where alerts are to be read on, whatever became of their log since they were delivered.

A power cut, an unclean election or a restored volume may take alerts away that were delivered. The
group's offset lies behind the end of the log then, or, once more alerts were raised, in the middle
of what nobody has got. So each commit says how new the newest alert was that was delivered.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from aiokafka import TopicPartition

from app.kafka.clients import KafkaClients
from app.kafka.groups import kept
from app.text import number_in


class AlertsDone(NamedTuple):
    """All below an offset was delivered; newest: ms since 1970 of its newest record, 0: unknown."""

    offset: int
    newest: int


NOTHING = AlertsDone(0, 0)


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


async def first_undelivered(consumer: Any, part: TopicPartition, done: AlertsDone) -> int:
    """Return the offset of the first alert that was not delivered; raise KafkaError."""
    begin = (await consumer.beginning_offsets([part]))[part]
    at = min(done.offset, (await consumer.end_offsets([part]))[part])
    if done.newest:
        later = (await consumer.offsets_for_times({part: done.newest + 1}))[part]
        if later is not None:  # below the offset it is another record than the one delivered there
            at = min(at, later.offset)
    return int(max(at, begin))
