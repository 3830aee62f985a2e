"""Who is told of the rows that the totals merge."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from app.counting.spec import Cells
from app.kafka.strange import UNREADABLE


class Watcher(Protocol):
    """Is told what is merged; must be quick."""

    def note(self, partition: int, rows: Mapping[bytes, Cells], position: int, /) -> None:
        """Rows were merged, and can be read by now; position: in `counts`, what is merged."""

    def forget(self) -> None:
        """Partitions move: what is read again will be noted again."""


class Changes:
    """Rows of one counter that changed since they were last taken, by partition."""

    def __init__(self, number: int, check: Callable[[bytes], object]) -> None:
        """check: raises one of UNREADABLE at what is no row of the counter."""
        self._number, self._check = number, check
        self._rows: defaultdict[int, set[bytes]] = defaultdict(set)
        self._position: dict[int, int] = {}

    def note(self, partition: int, rows: Iterable[bytes], position: int = -1) -> None:
        """Remember rows; position: in `counts`, what is merged by now; -1: as before."""
        self._rows[partition].update(row for row in rows if row[0] == self._number)
        if position >= 0:
            self._position[partition] = position

    def note_read(self, partition: int, rows: Iterable[bytes]) -> None:
        """Remember rows of records that were read in the log, of which some may be strange."""
        ours = (row for row in rows if row[0] == self._number and self._is_row(row))
        self._rows[partition].update(ours)

    def reach(self, partition: int, position: int) -> None:
        """Note what is merged by now."""
        self._position[partition] = position

    def take(self, partition: int) -> tuple[set[bytes], int]:
        """Return the rows, and the position that they include; -1 if nothing was merged yet."""
        return self._rows.pop(partition, set()), self._position.get(partition, -1)

    def forget(self) -> None:
        """A rebalance: what is read again will be noted again."""
        self._rows.clear()
        self._position.clear()

    def _is_row(self, row: bytes) -> bool:
        try:
            self._check(row)
        except UNREADABLE:  # named by who merges the topic
            return False
        return True
