"""A table in memory, as a refresher sees it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class MemoryRows:
    """Rows by key and partition; merge() is what a batch of `counts` does to a table."""

    def __init__(self, *partitions: int, started_at: int = 0, chunk: int = 5000) -> None:
        self.owned_partitions = set(partitions)
        self.moving = False
        self.started = started_at
        self.merged_to = -1
        self.reads = 0
        self.generation = 1
        self.log_is_whole = True
        self.log: list[tuple[int, int, Any]] = []  # position, partition, key
        self._chunk = chunk
        self._rows: dict[int, dict[Any, Any]] = {}
        self._changed: dict[int, set[Any]] = {}

    def merge(self, partition: int, key: Any, row: Any, position: int) -> None:
        """Merge a row; position: of `counts` afterwards."""
        self._rows.setdefault(partition, {})[key] = row
        self._changed.setdefault(partition, set()).add(key)
        self.merged_to = position
        self.log.append((position, partition, key))

    def recover(self, started_at: int) -> MemoryRows:
        """Return the table as the next owner recovers it."""
        new = MemoryRows(*self.owned_partitions, started_at=started_at, chunk=self._chunk)
        new._rows = {partition: dict(rows) for partition, rows in self._rows.items()}
        new.log = list(self.log)
        return new

    def rebalance(self, started_at: int) -> None:
        """Lose all partitions and get them back: what changed is forgotten."""
        self._changed.clear()
        self.started, self.merged_to = started_at, -1
        self.generation += 1

    @property
    def owned(self) -> MemoryRows:
        """As RowSource."""
        return self

    def partitions(self) -> set[int]:
        """As Owned."""
        return self.owned_partitions

    def has_none(self) -> bool:
        """As Owned."""
        return not self.owned_partitions and not self.moving

    def started_at(self, _partition: int) -> int:
        """As Owned."""
        return self.started

    def take(self, partition: int) -> tuple[Iterator[list[Any]], int]:
        """As RowSource."""
        rows = self._rows.get(partition, {})
        taken = [rows[key] for key in self._changed.pop(partition, set())]
        return self._chunks(taken), self.merged_to

    async def note_between(self, partition: int, begin: int, end: int) -> bool:
        """As RowSource."""
        keys = {key for at, p, key in self.log if p == partition and begin <= at <= end}
        self._changed.setdefault(partition, set()).update(keys)
        return self.log_is_whole

    def every(self, partition: int) -> Iterator[list[Any]]:
        """As RowSource; counts how often all rows were asked for."""
        self.reads += 1
        return self._chunks(list(self._rows.get(partition, {}).values()))

    def _chunks(self, rows: list[Any]) -> Iterator[list[Any]]:
        for begin in range(0, len(rows), self._chunk):
            yield rows[begin : begin + self._chunk]
