"""Rows that wait for the next files of the archive, and what may be committed after them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import Protocol

from app import metrics
from app.archive.rows import Row, text_size

ROWS_MAX = 50_000  # that wait; about 30 MB
TEXT_MAX = 32_000_000  # characters in them: one event may have 32,768

Rows = dict[int, dict[int, Row]]  # by partition and offset


class Writer(Protocol):
    """What Archive is here."""

    def write(self, rows: Mapping[int, Mapping[int, Row]]) -> int:
        """Write rows, in a thread; return how many were new."""
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
        self._rows: Rows = defaultdict(dict)
        self._done: list[Callable[[], object]] = []
        self._since = 0.0
        self._text = 0  # characters
        self._lock = asyncio.Lock()

    def add(self, partition: int, rows: dict[int, Row], done: Callable[[], object]) -> None:
        """Take the rows of a batch; done: called after the flush that holds them."""
        if not self._rows:
            self._since = self._clock()
        self._rows[partition].update(rows)
        self._text += sum(map(text_size, rows.values()))
        self._done.append(done)

    def age_s(self) -> float:
        """Return how long the oldest row has waited; 0 when none waits."""
        return self._clock() - self._since if self._rows else 0.0

    def is_full(self) -> bool:
        """Whether to flush before taking more."""
        return self._text >= TEXT_MAX or sum(map(len, self._rows.values())) >= ROWS_MAX

    async def flush(self) -> None:
        """Write what waits; whatever goes wrong, nothing of it is acknowledged."""
        async with self._lock:
            rows, done = self._rows, self._done
            self._rows, self._done, self._text = defaultdict(dict), [], 0
            if rows:
                self._archive = self._archive or await self._open()
                written = await asyncio.to_thread(self._archive.write, rows)
                metrics.events_archived.inc(written)
            for call in done:
                call()
