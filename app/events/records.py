"""Records of Kafka, and a batch of them."""

from __future__ import annotations

from typing import Any

import msgspec


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
