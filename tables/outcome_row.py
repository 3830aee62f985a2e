"""The row of a source partition that says how far it was read, and what became of all records.

Each position that is committed has one, also where no record came, or none that `event` has. A
partition without a row whose group has commits has lost its table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from app.counting.outcomes import OUTCOMES
from app.counting.spec import Cells
from app.events.filler import losses_of
from tables.partial_values import Partial, decode_partial

# Only in the table, not in `counts`. Behind layout.LAYOUT, before all counters.
OUTCOMES_ROW = b"\0outcomes"
LOST = OUTCOMES.index("lost")
VOID = LOST + 1  # see app.events.filler.Losses
COMMITTED = VOID + 1  # position of the group


class OutcomeRow:
    """The row OUTCOMES_ROW of Partials. _cache, dirty: its rows in memory, by partition.

    _read_to: the position of each partition that the next flush brings to Kafka.
    committed: partition -> position that its group has committed, as far as this worker knows.
    """

    _cache: Any
    dirty: Any
    _read_to: dict[int, int]
    committed: Callable[[int], int] = staticmethod(lambda _partition: 0)

    def db(self, partition: int) -> Any:
        """Return the RocksDB of a partition."""
        raise NotImplementedError

    async def flush(self, partition: int | None = None) -> None:
        """Write what has gathered."""
        raise NotImplementedError

    def outcomes(self, partition: int) -> tuple[int, Cells]:
        """Return a position of a source partition, and what became of the records below it.

        By slot, see app.counting.outcomes. What waits for a flush is in it.
        """
        partial = self._outcomes(partition)
        return partial.last + 1, partial.cells

    def last(self, partition: int) -> int:
        """Return the last offset of a source partition that is counted, -1 for none."""
        return self._outcomes(partition).last

    def position(self, partition: int) -> int | None:
        """Return the offset below which all records are in the rows; None where there is none."""
        return self.last(partition) + 1 or None

    def once_committed(self, partition: int) -> int:
        """Return a position that the group has committed, whatever Kafka says now; 0: none.

        What rules need below it is forgotten, so nothing below it can be judged again.
        """
        return self._outcomes(partition).cells.get(COMMITTED, 0)

    def note_committed(self, partition: int) -> None:
        """Keep with a flush what was committed before it."""
        partial = self._outcomes(partition)
        if (committed := self.committed(partition)) > partial.cells.get(COMMITTED, 0):
            partial.cells = partial.cells | {COMMITTED: committed}

    def lose(self, partition: int, begin: int, end: int) -> None:
        """Count the offsets [begin, end) as lost: Kafka deleted them before any row saw them.

        All below them is absorbed.
        """
        partial = self._outcomes(partition)
        if (lost := end - max(begin, partial.last + 1)) > 0:
            partial.cells = partial.cells | {LOST: partial.cells.get(LOST, 0) + lost}
            self._move(partition, partial, end)
            self._read_to[partition] = end

    def reach(self, partition: int, position: int) -> None:
        """Note that no record is left below a position."""
        partial = self._outcomes(partition)
        if partial.last + 1 < position:
            self._move(partition, partial, position)

    async def keep_position(self, partition: int, position: int) -> None:
        """Return once a row says that all below a position is in the rows.

        The position is about to be committed, so everything below it is flushed, and what no row
        has seen of it holds no records. What was absorbed behind it may wait for its flush.
        """
        stored = self.db(partition).get(OUTCOMES_ROW)
        if stored is None or decode_partial(stored).last + 1 < position:
            self.reach(partition, position)
            self._read_to.setdefault(partition, position)
            await self.flush(partition)

    def _move(self, partition: int, partial: Partial, position: int) -> None:
        partial.last = position - 1
        self._cache[partition][OUTCOMES_ROW] = partial
        self.dirty[partition].add(OUTCOMES_ROW)

    def void(self, partition: int) -> int:
        """Return how many fillers right below the position stand for nothing."""
        return self._outcomes(partition).cells.get(VOID, 0)

    def account(self, partition: int, batch: Sequence[Any], seen: int) -> int:
        """Count what fillers of a batch, which is absorbed by now, say is lost; return how much.

        seen: last() before it was absorbed.
        """
        partial = self._outcomes(partition)
        found = losses_of(batch, seen, partial.cells.get(VOID, 0))
        lost = partial.cells.get(LOST, 0) + found.lost
        partial.cells = partial.cells | {LOST: lost, VOID: found.void}
        return found.lost

    def _outcomes(self, partition: int) -> Partial:
        partial: Partial | None = self._cache[partition].get(OUTCOMES_ROW)
        if partial is None:
            stored = self.db(partition).get(OUTCOMES_ROW)
            partial = Partial(-1, {}) if stored is None else decode_partial(stored)
        return partial
