"""Whether a record was sent before: message_ids seen, as runs of sorted hashes. Pure.

Remembered are facts, not verdicts: of each record with a message_id its offset, its Kafka timestamp
and a hash. A verdict follows from the facts of lower offsets alone, so whatever part of the facts a
crash leaves above the committed position, and however often they are added again, the same records
get the same verdicts (docs/internals/decisions/duplicates.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from app.counting.message_runs import Array, FilteredRuns, MessageRun
from app.events.batches import Named

ROW_IDS = 20_000  # of a packed run, 400 KB: a record batch holds 500,000 bytes
LEVEL_ROWS, LEVELS = 16, 4  # of rows that grow: 16 ** 4 exceeds ROW_IDS
RUN_IDS = 1 << 18  # of a run in memory; merging two halves of it takes 15 ms
FILTER_RUNS = 16  # that share a filter; it has 16 bits for each of their ids: 2 bytes more an id
YOUNG_WIDTH, OLD_WIDTH = 22, 26  # 0.5 and 8 MB
HOUR_MS = 3_600_000
MARGIN_MS = HOUR_MS  # how far the records of a partition may lie out of their order in time


class GrowingRows:
    """Merges rows as they are written, so that few flushes of few ids do not become many rows.

    Each level has up to LEVEL_ROWS rows, which become one of the next; none gets above ROW_IDS.
    """

    def __init__(self) -> None:
        self._levels: list[list[MessageRun]] = [[] for _ in range(LEVELS)]

    def add(self, run: MessageRun) -> tuple[MessageRun, list[MessageRun]]:
        """Return the row to write instead of a run, and those before it that it replaces."""
        replaced: list[MessageRun] = []
        for level in self._levels:
            level.append(run)
            if len(level) < LEVEL_ROWS:
                break
            rows = level.copy()
            level.clear()
            if sum(map(len, rows)) > ROW_IDS:
                break
            replaced += rows[:-1]
            run = MessageRun.merged(rows)
        return run, replaced


class Seen:
    """The message_ids of one partition that a record can still be a duplicate of."""

    def __init__(self, hours: int, rows: Iterable[bytes] = ()) -> None:
        """hours: how long a message_id is remembered. rows: what was packed, by offset."""
        self._within_ms = hours * HOUR_MS
        self._old: list[FilteredRuns] = []  # those that are merged no more, oldest first
        self._young = FilteredRuns(YOUNG_WIDTH)
        self._fresh: list[MessageRun] = []
        self._packed = GrowingRows()
        self.latest = 0
        self.remember(rows)

    def remember(self, rows: Iterable[bytes]) -> None:
        """Bring in what was packed, by offset, before anything is judged."""
        waiting: list[MessageRun] = []
        size = 0
        for run in map(MessageRun.unpack, rows):
            waiting.append(run)
            size += len(run)
            self.latest = max(self.latest, run.latest)
            if size + ROW_IDS > RUN_IDS:
                self._keep(MessageRun.merged(waiting))
                waiting, size = [], 0
        if waiting:
            self._young.add(MessageRun.merged(waiting))
            self._merge()

    def __len__(self) -> int:
        return sum(map(len, self.groups))

    @property
    def groups(self) -> list[FilteredRuns]:
        """Runs that share a filter, those that still grow first."""
        return [self._young, *reversed(self._old)]

    @property
    def newest(self) -> MessageRun:
        """The last run of what judge() looked at."""
        return self._fresh[-1]

    @property
    def fresh(self) -> int:
        """How many message_ids were seen since take_fresh()."""
        return sum(map(len, self._fresh))

    def judge(self, named: Named) -> set[int]:
        """Return the offsets of the duplicates among some records, and remember all of them."""
        found: set[int] = set()
        for begin in range(0, len(named.ids), ROW_IDS):
            ids, offsets, times = (column[begin : begin + ROW_IDS] for column in named)
            run = MessageRun.of(Named(ids, offsets, times), self.latest)  # type: ignore[arg-type]
            self.latest = run.latest
            found.update(self._duplicates(run))
            self._fresh.append(run)
            self._young.add(run)
            self._merge()
        return found

    def sent_before(self, named: Named) -> bool | None:
        """Return whether one record, looked at before, is a duplicate; None: forgotten by now."""
        if any(True for _ in self._found(MessageRun.of(named, self.latest))):
            return True
        return None if named.times[0] < self.latest - MARGIN_MS else False

    def _found(self, asked: MessageRun) -> Iterator[Array]:
        for group in self.groups:
            yield from group.sent_before(asked, self._within_ms)

    def _duplicates(self, asked: MessageRun) -> Iterator[int]:
        """Yield offsets of duplicates among records that are not remembered yet."""
        if (asked.high[1:] == asked.high[:-1]).any():
            again = asked.sent_before(asked, np.arange(len(asked)), self._within_ms)
            yield from asked.offsets_at(again)
        for again in self._found(asked):
            yield from asked.offsets_at(again)

    def _merge(self) -> None:
        """Merge the newest runs while the one before is no longer than they, as in a log."""
        runs = self._young.runs
        while len(runs) > 1 and len(runs[-2]) <= len(runs[-1]) <= RUN_IDS - len(runs[-2]):
            runs[-2:] = [MessageRun.merged(runs[-2:])]
        if max(map(len, runs[:2]), default=0) > RUN_IDS // 2:  # the first is merged no more
            self._keep(runs[0])
            self._young = FilteredRuns(YOUNG_WIDTH, runs[1:])
            self._merge()

    def _keep(self, run: MessageRun) -> None:
        if not self._old or len(self._old[-1].runs) == FILTER_RUNS:
            self._old.append(FilteredRuns(OLD_WIDTH))
        self._old[-1].add(run)

    def take_fresh(self) -> Iterator[MessageRun]:
        """Yield what was seen since the last call, in runs of at most ROW_IDS."""
        fresh, self._fresh = self._fresh, []
        while fresh:
            count, size = 1, len(fresh[0])
            while count < len(fresh) and size + len(fresh[count]) <= ROW_IDS:
                size += len(fresh[count])
                count += 1
            yield MessageRun.merged(fresh[:count])
            del fresh[:count]

    def take_rows(self) -> Iterator[tuple[MessageRun, list[MessageRun]]]:
        """Yield the runs of take_fresh() as rows to be written, each with those it replaces."""
        return map(self._packed.add, self.take_fresh())

    def forgotten_before(self, now_ms: int) -> int:
        """Return the `latest` below which a run is of no use any more; now_ms: by the records."""
        return now_ms - self._within_ms - MARGIN_MS

    def expire(self, now_ms: int) -> None:
        """Drop the runs that nothing can be a duplicate of any more."""
        end = self.forgotten_before(now_ms)
        for group in self._old:
            group.runs = [run for run in group.runs if run.latest >= end]
        self._old = [group for group in self._old if group.runs]
        young = [run for run in self._young.runs if run.latest >= end]
        if len(young) < len(self._young.runs):
            self._young = FilteredRuns(YOUNG_WIDTH, young)
