"""Record batches that cannot be unpacked are named, counted and passed; aiokafka stops at them.

It raises at the same batch again and again: one with a checksum that its bytes do not have (a disk
that forgets), or of a codec that nobody knows, would end every reader of its partition for good.
What is passed depends on the bytes alone, so that all readers leave out the same records.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher

from app import metrics
from app.errors import reason

log = logging.getLogger(__name__)

_counted: dict[Any, int] = {}  # by partition: up to which offset; a batch may be read twice


def pass_unreadable() -> None:
    """Have every aiokafka consumer of this process do so; there is no hook for it."""
    fetcher.PartitionRecords = _PartitionRecords


class _PartitionRecords(fetcher.PartitionRecords):
    """What a fetch brought of one partition."""

    def __init__(self, tp: Any, records: Any, *args: Any) -> None:
        super().__init__(tp, _Readable(tp, records), *args)


class _Readable:
    """The batches of a fetch, without what cannot be read of them; as MemoryRecords is."""

    def __init__(self, tp: Any, batches: Any) -> None:
        self._tp, self._batches = tp, batches
        self.has_next = batches.has_next
        self.size_in_bytes = batches.size_in_bytes

    def next_batch(self) -> Any:
        """Return the next batch."""
        batch = self._batches.next_batch()
        return batch if batch.is_control_batch else _ReadableBatch(self._tp, batch)


class _ReadableBatch:
    """A record batch, with what aiokafka's fetcher looks at."""

    is_control_batch = False

    def __init__(self, tp: Any, batch: Any) -> None:
        self._tp, self._batch = tp, batch
        self.base_offset, self.next_offset = batch.base_offset, batch.next_offset
        self.producer_id, self.is_transactional = batch.producer_id, batch.is_transactional

    def validate_crc(self) -> bool:
        """Return True: what another checksum means is decided here."""
        return True

    def __iter__(self) -> Iterator[Any]:
        """Yield the records, up to the first that cannot be read."""
        if not self._batch.validate_crc():
            self._lose(self.base_offset, "its checksum is another")
            return
        at = self.base_offset
        try:
            for record in self._batch:
                at = record.offset + 1
                yield record
        except Exception as exc:  # noqa: BLE001 - each codec has errors of its own
            self._lose(at, reason(exc))

    def _lose(self, first: int, why: str) -> None:
        """Say once what is lost from an offset on."""
        if _counted.get(self._tp, -1) < self.next_offset:
            _counted[self._tp] = self.next_offset
            metrics.records_unreadable.labels(self._tp.topic).inc(self.next_offset - first)
            log.error(
                "%s-%d: offsets %d to %d cannot be read and are lost: %s",
                *(self._tp.topic, self._tp.partition, first, self.next_offset - 1, why),
            )
