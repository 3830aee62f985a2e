"""Rows of which the last record in a changelog says less than is known.

A worker that was frozen in a flush may send an older value after its successor's newer one. Whoever
recovers merges both; but once compaction has kept the last record alone, nobody could. So a
recovery sends such rows again, and until Kafka has them it does not count as having read them. The
same goes for rows under whose keys somebody else has written what is no row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from faust.types import TP

from tables.unreadable import part_strange

RecordValues = dict[bytes, bytes | None]


def merge_records(
    records: Iterable[Any],
    rows: RecordValues,
    last: RecordValues,
    merge_values: Callable[[bytes, bytes], bytes],
) -> None:
    """Add records of a changelog to rows; last: what the last one says, where rows know more."""
    for record in records:
        key, value = record.key, record.value
        old = rows.get(key)
        known = value if old is None or value is None else merge_values(old, value)
        rows[key] = known
        if known != value:
            last[key] = value
        elif last:
            last.pop(key, None)


class StoredRow(NamedTuple):
    """A row as a changelog record has it."""

    key: bytes
    value: bytes


class Outdone:
    """Of one table; rows: by partition."""

    def __init__(self) -> None:
        self.rows: defaultdict[int, set[bytes]] = defaultdict(set)
        self.hidden: defaultdict[int, set[bytes]] = defaultdict(set)  # behind strange records
        self._read: dict[int, int] = {}

    def uncover(self, partition: int, db: Any, check: Callable[[bytes, bytes], object]) -> None:
        """Let rows be sent again of which a strange record is the last that Kafka has.

        check: see tables.unreadable.part_strange.
        """
        if not (keys := sorted(self.hidden.pop(partition, ()))):
            return
        found = zip(keys, db.get(keys), strict=True)
        rows = [StoredRow(key, value) for key, value in found if value is not None]
        ours, _ = part_strange(rows, check, ())
        self.rows[partition].update(row.key for row in ours)

    def holds(self, tp: TP, offset: int) -> bool:
        """Whether a changelog, read up to an offset, must be read again after a crash."""
        if self.rows[tp.partition]:
            self._read[tp.partition] = offset
            return True
        self._read.pop(tp.partition, None)
        return False

    def sent(self, partition: int) -> int | None:
        """Forget the rows: Kafka has them; return the offset up to which was read meanwhile."""
        self.rows.pop(partition, None)
        return self._read.pop(partition, None)
