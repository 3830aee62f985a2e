"""Sums per key over a window, kept in memory from the first question on.

The rows of a counter sort by time; those of an hour of minutes and 100,000 keys take 0.2 s to
read. So what a question needed stays here as blocks of columns, follows the totals as they are
merged, and is forgotten a minute after the last question (docs/internals/decisions/rankings.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from time import monotonic

import numpy as np

from app.counting.ranking import Block, KeyNumbers, Sums, longer, slices, top
from app.counting.row_keys import KEY_PART, START_PART
from app.counting.spec import Cells, CounterSpec
from app.counting.stats_window import Level, Run
from app.errors import RecoveringError
from tables.totals import Totals
from tables.turns import Turns, in_turns

IDLE_S = 60.0
CELLS_MAX = 16_000_000  # of all blocks, 13 bytes each; more is read again for each question
MANY_KEYS = 50_000  # of a partition: where many draw, finding the first takes 5 ms
NAMES_SPARE = 100_000  # keys of a partition that no block may have left


class Rankings:
    """The sums of one counter's levels; a watcher of the totals."""

    def __init__(self, totals: Totals, levels: Mapping[Level, CounterSpec]) -> None:
        self._totals, self._levels = totals, levels
        self._parts: dict[int, _RankedPart] = {}
        self._asked = monotonic()
        self._one_at_a_time = asyncio.Lock()
        totals.watch_with(self)

    def __len__(self) -> int:
        """Return how many partitions have something in memory."""
        return len(self._parts)

    async def top(
        self, partitions: Iterable[int], runs: Iterable[Run], limit: int
    ) -> tuple[list[tuple[bytes, int]], int]:
        """Return the limit keys of these partitions that were counted most, and the sum of all.

        The result is right for what was merged when each block was summed.
        """
        runs = list(runs)
        found: list[tuple[bytes, int]] = []
        total, turns = 0, Turns()
        async with self._one_at_a_time:
            for partition in partitions:
                names, sums = await self._sums(partition, runs, turns)
                if len(sums) < MANY_KEYS:
                    found += top(names.keys, sums, limit)
                else:
                    found += await asyncio.to_thread(top, names.keys, sums, limit)
                await turns.next()
                total += int(sums.sum())
        return found, total

    # -- what the totals tell ---------------------------------------------------------------

    def note(self, partition: int, rows: Mapping[bytes, Cells], _position: int) -> None:
        """Remember rows that were merged, where a block has them."""
        part = self._parts.get(partition)
        if part is None:
            return
        if monotonic() - self._asked > IDLE_S:
            self.forget()
            return
        blocks = part.blocks
        for row in rows:
            block = blocks.get(row[START_PART])
            if block is not None:
                block.changed[row] = rows[row]

    def forget(self) -> None:
        """Begin anew: partitions have moved, or nobody asks."""
        self._parts.clear()

    # -- blocks -----------------------------------------------------------------------------

    async def _sums(self, partition: int, runs: list[Run], turns: Turns) -> tuple[KeyNumbers, Sums]:
        self._asked = monotonic()
        part = self._parts.setdefault(partition, _RankedPart())
        sums: Sums = np.zeros(0)
        for run in runs:
            spec = self._levels[run.level]
            for start, slots in slices(run, spec.row_windows):
                head = spec.keys.start_from(start)
                kept = await self._block(partition, part, head, detail=slots is not None)
                found = kept.block.sums(slots, len(part.names))
                sums = longer(sums, len(found)) + found
                self._make_room(kept)
                await turns.next()
        part.drop_idle(self._asked)
        if part.names_wasted() > NAMES_SPARE:
            self._parts.pop(partition, None)
        return part.names, sums

    async def _block(
        self, partition: int, part: _RankedPart, head: bytes, *, detail: bool
    ) -> _KeptBlock:
        """Return a block that knows all that is merged."""
        kept = part.blocks.get(head)
        try:
            if kept is None or (detail and not kept.block.detail):
                kept = part.blocks[head] = _KeptBlock(Block(detail=detail))  # notes from here on
                rows = self._totals.scan(partition, head)
                async for some in in_turns(rows, lambda: self._check(partition, part)):
                    kept.block.add(part.numbered(some))
            if changed := kept.take_changed():
                async for some in in_turns(changed, lambda: self._check(partition, part)):
                    kept.block.replace(part.numbered(some))
        except BaseException:  # what is there in part must not be taken for all
            part.blocks.pop(head, None)
            raise
        kept.used = monotonic()
        return kept

    def _check(self, partition: int, part: _RankedPart) -> None:
        """Raise RecoveringError where the partition moved meanwhile."""
        if self._parts.get(partition) is not part:
            raise RecoveringError("partitions moved to another worker")

    def _make_room(self, newest: _KeptBlock) -> None:
        """Drop the blocks that were used longest ago, while there are more than CELLS_MAX."""
        kept = [
            (block.used, head, part)
            for part in self._parts.values()
            for head, block in part.blocks.items()
            if block is not newest
        ]
        size = sum(
            len(block.block) for part in self._parts.values() for block in part.blocks.values()
        )
        for _, head, part in sorted(kept, key=lambda one: one[0]):
            if size <= CELLS_MAX:
                break
            size -= len(part.blocks.pop(head).block)


class _KeptBlock:
    """A block, and the rows of it that were merged since it was last brought up to date."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self.changed: dict[bytes, Cells] = {}
        self.used = monotonic()

    def take_changed(self) -> list[tuple[bytes, Cells]]:
        """Return the rows that were merged, once."""
        changed, self.changed = self.changed, {}
        return list(changed.items())


class _RankedPart:
    """What is kept of a partition."""

    def __init__(self) -> None:
        self.names = KeyNumbers()
        self.blocks: dict[bytes, _KeptBlock] = {}

    def numbered(self, rows: Iterable[tuple[bytes, Cells]]) -> dict[int, Cells]:
        """Return the cells of rows by the number of their keys; their labels are empty."""
        number = self.names.number
        return {number(row[KEY_PART]): cells for row, cells in rows}

    def drop_idle(self, now: float) -> None:
        """Drop the blocks that were not asked for lately."""
        for head in [head for head, kept in self.blocks.items() if now - kept.used > IDLE_S]:
            del self.blocks[head]

    def names_wasted(self) -> int:
        """Return how many names there are at least that no block has."""
        return len(self.names) - sum(len(kept.block) for kept in self.blocks.values())
