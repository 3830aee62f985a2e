"""What travels: a batch of records, and the message that carries it through Faust."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import msgspec
from faust.transport.utils import DefaultSchedulingStrategy


class Record(msgspec.Struct, gc=False):
    """A record of a batch topic, with what is used of aiokafka's ConsumerRecord.

    That one costs three times as much to make, and the garbage collector looks at each.
    timestamp: ms since 1970.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None


class Batch(list[Any]):
    """Records of one partition, by offset.

    before, after: the fetch position on either side; after may lie past deleted offsets and
    transaction markers that follow the last record. gate: the generation it was fetched in.
    lag: offsets that were known to follow it in Kafka when it was taken; there may be more by now.
    lost: offsets right before it that Kafka deleted before they were read.
    """

    __slots__ = ("after", "before", "gate", "lag", "lost")

    before: int
    after: int
    gate: int
    lag: int
    lost: int

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.lost = 0


class BatchRecord:
    """A list of records in the shape of one aiokafka record; its offset is the last one's."""

    headers: tuple[()] = ()
    key = None
    checksum = None
    serialized_key_size = 0
    serialized_value_size = 0

    def __init__(self, records: list[Any]) -> None:
        last = records[-1]
        self.topic, self.partition, self.offset = last.topic, last.partition, last.offset
        self.timestamp, self.timestamp_type, self.value = (
            last.timestamp,
            last.timestamp_type,
            records,
        )


def batch_scheduler(
    sources: Collection[str], changelogs: Collection[str] = ()
) -> type[DefaultSchedulingStrategy]:
    """Return the ConsumerScheduler of an app with batch topics.

    sources: topics delivered as Batch by BatchConsumer. changelogs: topics whose records reach
    table recovery as one message a fetch.
    """

    class BatchScheduler(DefaultSchedulingStrategy):
        batch_topics = frozenset(sources)
        batch_changelogs = frozenset(changelogs)

        def iterate(self, records: dict[Any, list[Any]]) -> Iterator[tuple[Any, Any]]:
            for tp in [tp for tp in records if tp.topic in self.batch_changelogs]:
                yield tp, BatchRecord(records.pop(tp))
            yield from super().iterate(records)

    return BatchScheduler
