"""The message that carries a batch through Faust, and the order in which batches come."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from faust.transport.utils import DefaultSchedulingStrategy


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
