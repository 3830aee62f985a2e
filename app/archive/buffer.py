"""Rows that wait for the next files of the archive, and what may be committed after them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from time import monotonic
from typing import Protocol

from app import metrics
from app.archive.messages import Runs
from app.archive.reached import ArchivedTo
from app.archive.rows import ArchiveRow, text_size
from app.counting.duplicates import Seen
from app.counting.message_runs import MessageRun

ROWS_MAX = 50_000  # that wait; about 30 MB
TEXT_MAX = 32_000_000  # characters in them: one event may have 32,768

WaitingRows = dict[int, dict[int, ArchiveRow]]  # by partition and offset


class Writer(Protocol):
    """What Archive is here."""

    def seen(self, partition: int) -> Seen | None:
        """Return the message_ids of a partition, in a thread."""
        ...

    def position(self, partition: int) -> ArchivedTo | None:
        """Return up to where all is archived, in a thread; None: only Kafka knows."""
        ...

    def write(
        self,
        rows: Mapping[int, Mapping[int, ArchiveRow]],
        runs: Runs,
        reached: Mapping[int, int],
    ) -> int:
        """Write rows, and what is new of message_ids, in a thread; return how many were new.

        reached: by partition the offset below which nothing is missing then.
        """
        ...


class ArchiveBuffer:
    """Gathers rows; a flush writes all of them and then calls what waited for it.

    Rows are kept by offset: what is delivered again after a rebalance takes its own place.
    """

    def __init__(
        self, open_archive: Callable[[], Awaitable[Writer]], clock: Callable[[], float] = monotonic
    ) -> None:
        self._open = open_archive
        self._archive: Writer | None = None
        self._clock = clock
        self._rows: WaitingRows = defaultdict(dict)
        self._runs: dict[int, list[MessageRun]] = defaultdict(list)
        self._seen: dict[int, tuple[int, Seen | None]] = {}  # by partition: generation
        self._done: list[Callable[[], object]] = []
        self._reached: dict[int, int] = {}
        self._since = 0.0
        self._text = 0  # characters
        self._lock = asyncio.Lock()

    async def seen(self, partition: int, gate: int) -> Seen | None:
        """Return the message_ids that lie before a batch; gate: its generation."""
        known = self._seen.get(partition)
        if known is None or known[0] != gate:  # somebody else may have had it meanwhile
            archive = await self._opened()
            known = gate, await asyncio.to_thread(archive.seen, partition)
            self._seen[partition] = known
        return known[1]

    async def position(self, partition: int) -> ArchivedTo | None:
        """Return up to where all is archived; None: as far as the group has come."""
        archive = await self._opened()
        return await asyncio.to_thread(archive.position, partition)

    async def _opened(self) -> Writer:
        self._archive = self._archive or await self._open()
        return self._archive

    def add(
        self,
        partition: int,
        rows: dict[int, ArchiveRow],
        done: Callable[[], object],
        runs: Iterable[MessageRun] = (),
    ) -> None:
        """Take what a batch adds; done: called after the flush that holds it.

        runs: what is new of message_ids.
        """
        self._begin()
        if found := list(runs):
            self._runs[partition] += found
        if rows:
            self._rows[partition].update(rows)
        self._text += sum(map(text_size, rows.values()))
        self._done.append(done)

    def reach(self, partition: int, after: int) -> None:
        """Note that all below an offset was added, or is no row."""
        self._begin()
        self._reached[partition] = after

    def _begin(self) -> None:
        if not self._waits:
            self._since = self._clock()

    @property
    def _waits(self) -> bool:
        return bool(self._done or self._reached)

    def age_s(self) -> float:
        """Return how long the oldest row or position has waited; 0 when none waits."""
        return self._clock() - self._since if self._waits else 0.0

    def is_full(self) -> bool:
        """Whether to flush before taking more."""
        return self._text >= TEXT_MAX or sum(map(len, self._rows.values())) >= ROWS_MAX

    async def flush(self) -> None:
        """Write what waits; whatever goes wrong, nothing of it is acknowledged."""
        async with self._lock:
            rows, runs, done = self._rows, self._runs, self._done
            self._rows, self._runs = defaultdict(dict), defaultdict(list)
            reached, self._reached = self._reached, {}
            self._done, self._text = [], 0
            if rows or runs or reached:
                archive = await self._opened()
                written = await asyncio.to_thread(archive.write, rows, runs, reached)
                metrics.events_archived.inc(written)
            for call in done:
                call()
