"""Distinct users: the sketches of all source partitions, united.

Value: a theta sketch. What comes twice, late or out of order is in the union already. Rows that
are being added to are kept in memory and written once a flush; a batch of the topic `uniques` is
acknowledged only after that.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain
from time import monotonic, time
from typing import Any

from app.counting.counters import Counters
from app.counting.row_keys import MARK, is_mark
from app.counting.spec import FIRST_DECLARED, counts_partition
from app.counting.stats_window import Month, Run
from app.counting.uniques import (
    LEVELS,
    Estimate,
    Sketch,
    SketchRow,
    Union,
    buckets_of,
    check_sketch_row,
    decode_sketch,
    expired_bounds,
    level_bounds,
    month_row,
)
from app.kafka.strange import UNREADABLE, leave_out
from tables.reached import Reached, all_reached
from tables.scans import scan_keys, scan_prefix
from tables.unique_marks import SIGN, decode_record, decode_row, encode_row, merge_rows
from tables.watchers import Changes
from tables.write_behind import WriteBehindTable

DIRTY_MAX = 5000  # rows that wait for a flush, of all partitions
LIVE_MAX = 1000  # rows of a partition kept in memory between flushes; at most 100 KB each
SLICE_S = 0.005  # of a flush, until queries get their turn

State = tuple[int, int]  # of a sketch that is only added to: equal where nothing was new


class Uniques(WriteBehindTable):
    """(metric, level, bucket start, key): theta sketch of the users.

    Also the rows of declared counters that measure distinct values, as they are in the totals.
    """

    def __init__(self, app: Any, *, counters: Counters | None = None, **kwargs: Any) -> None:
        """counters: all of them; None: only ours."""
        super().__init__(app, **kwargs)
        self._own = (counters or Counters(())).sketched()
        self._live: defaultdict[int, dict[bytes, Union]] = defaultdict(dict)
        self._written: defaultdict[int, dict[bytes, State | bytes]] = defaultdict(dict)
        self._dirty: defaultdict[int, set[bytes]] = defaultdict(set)
        self._done: defaultdict[int, list[Callable[[], object]]] = defaultdict(list)
        self._watchers: list[Changes] = []
        self._marks: dict[int, dict[int, int]] = {}
        self.reached = Reached(lambda part, asked: all_reached(self.merged_to(part), asked))

    def watch(self, metric: int) -> Changes:
        """Return a record of the rows of one metric that change from now on."""
        changes = Changes(metric, check_sketch_row)
        self._watchers.append(changes)
        return changes

    # -- writing --------------------------------------------------------------------------

    def merge(self, partition: int, batch: Iterable[Any]) -> Collection[bytes]:
        """Add sketches of a fetch of `uniques`; return the rows that they were added to."""
        added: defaultdict[bytes, list[Sketch]] = defaultdict(list)
        strange: list[tuple[Any, BaseException]] = []
        now = time()
        marks = self.merged_to(partition)
        for record in batch:
            if record.value is None:
                continue  # it fills a place, see app.kafka.mending
            try:
                if is_mark(record.key):
                    source, position = decode_record(record.key, record.value)
                    marks[source] = max(position, marks.get(source, 0))
                    continue
                sketch, rows = decode_sketch(record.value), self._rows(record.key, now)
            except (*UNREADABLE, TypeError) as exc:  # TypeError: no key
                strange.append((record, exc))
                continue
            for row in rows:
                added[row].append(sketch)
        leave_out(strange)
        live = self._load(partition, added)
        for row, sketches in added.items():
            for sketch in sketches:
                live[row].add(sketch)
        # Rows that did not change too: a flush may leave them out only if it has sent them before.
        self._dirty[partition].update(added)
        for changes in self._watchers:
            changes.note(partition, added)
        self.reached.wake(partition)
        return added.keys()

    def _rows(self, row: bytes, now: float) -> list[bytes]:
        """Return the rows that a sent row belongs to; raise ValueError where it is none."""
        self._check(row)
        return [row] if row[0] >= FIRST_DECLARED else buckets_of(row, now)

    def _check(self, row: bytes) -> None:
        if row[0] < FIRST_DECLARED:
            check_sketch_row(row)
        elif (spec := self._own.by_number.get(row[0])) is not None:  # else one of others
            spec.keys.check(row)

    def merged_to(self, partition: int) -> dict[int, int]:
        """Return {source partition: position of `events` up to which all is merged here}."""
        marks = self._marks.get(partition)
        if marks is None:
            marks = self._marks[partition] = decode_row(self.db(partition).get(MARK))
        return marks

    def merged(self, partition: int, after: int, done: Callable[[], object]) -> None:
        """Note that a fetch of `uniques` is merged; after: the position behind it.

        done: called after the flush that holds it, so that it may be committed.
        """
        self._done[partition].append(done)
        for changes in self._watchers:
            changes.reach(partition, after)

    @property
    def dirty_rows(self) -> int:
        """Rows that wait for a flush."""
        return sum(map(len, self._dirty.values()))

    def gathered(self) -> Collection[int]:
        """Return the partitions of which something was merged."""
        return self._done.keys()

    async def before_release(self) -> None:
        """Called by the transport before a revocation or a stop: finish what is begun."""
        await self.flush()

    async def write_gathered(self, partitions: Collection[int]) -> None:
        """Store and log what changed since the last flush."""
        for partition in list(partitions):
            await self._write_partition(partition)

    async def _write_partition(self, partition: int) -> None:
        rows, done = sorted(self._dirty.pop(partition, ())), self._done.pop(partition)
        mark = encode_row(self.merged_to(partition))  # of what is in memory now, so in these rows
        at, is_whole = 0, False
        while not is_whole:
            changed, at = self._changed(partition, rows, at)
            is_whole = at == len(rows)
            if is_whole and self._written[partition].get(MARK) != mark:
                changed.append((MARK, mark))  # behind the rows that it speaks of
                self._written[partition][MARK] = mark
            if changed:
                await self.write(partition, changed)
            await asyncio.sleep(0)
        for call in done:
            call()
        self._trim(partition)

    def _changed(
        self, partition: int, rows: Sequence[bytes], at: int
    ) -> tuple[list[tuple[bytes, bytes]], int]:
        """Return what to write of the rows from `at` on, and where to go on after SLICE_S.

        A row is left out where this worker, since it has the partition, has sent the same sketch:
        Kafka has it then, or the commit waits for it.
        """
        live, written = self._live[partition], self._written[partition]
        until, changed = monotonic() + SLICE_S, []
        while at < len(rows) and monotonic() < until:
            row = rows[at]
            sketch = live[row].sketch()
            state = sketch.num_retained, sketch.theta64
            if written.get(row) != state:
                changed.append((row, sketch.serialize()))
                written[row] = state
            at += 1
        return changed, at

    def _load(self, partition: int, rows: Iterable[bytes]) -> dict[bytes, Union]:
        live = self._live[partition]
        missing = [row for row in rows if row not in live]
        if missing:
            values = self.db(partition).get(missing)
            for row, value in zip(missing, values, strict=True):
                live[row] = _union_of(value)
        return live

    def _trim(self, partition: int) -> None:
        """Where there are many, forget the rows that are not waiting for a flush."""
        if len(self._live[partition]) > LIVE_MAX:
            dirty = self._dirty[partition]
            for kept in (self._live, self._written):
                rows: dict[bytes, Any] = kept[partition]
                kept[partition] = {row: rows[row] for row in dirty if row in rows}

    def check_row(self, key: bytes, value: bytes) -> None:
        """As BatchTable."""
        read = decode_row if key == MARK else decode_sketch
        read(value)
        if key != MARK:
            self._check(key)

    def merge_values(self, old: bytes, new: bytes) -> bytes:
        """The union; of marks the larger positions."""
        if old == new:
            return old
        if old[:1] == SIGN:
            return merge_rows(old, new)
        merged: bytes = Union(decode_sketch(old), decode_sketch(new)).sketch().serialize()
        return merged

    def forget(self) -> None:
        """Drop what is only in memory: it is read again."""
        super().forget()
        for state in (self._live, self._written, self._dirty, self._done, self._marks):
            state.clear()
        self.reached.forget()
        for changes in self._watchers:
            changes.forget()

    def expired(self, partition: int, now: float) -> Iterable[tuple[bytes, bytes]]:  # noqa: ARG002
        """Return the ranges of keys past their retention."""
        return chain(expired_bounds(now), self._own.expired_ranges(now))

    async def before_expiry(self) -> None:
        """Write what has gathered: none of it comes after a deletion."""
        await self.flush()

    async def delete(self, partition: int, rows: Sequence[bytes]) -> None:
        """As BatchTable."""
        for row in rows:
            self._live[partition].pop(row, None)
            self._written[partition].pop(row, None)
        await super().delete(partition, rows)

    # -- reading --------------------------------------------------------------------------

    def partition_of(self, key: str) -> int:
        """Return the partition that owns a key, an ad_id or ""."""
        return counts_partition(key.encode(), self.partitions)

    def active_users(self, runs: Sequence[Run]) -> Estimate:
        """Return how many users had an event in the buckets of LEVELS that runs name.

        The caller has checked that this worker owns the key "".
        """
        partition, union = self.partition_of(""), Union()
        # The largest first: they leave the least to look at in the others.
        for run in sorted(runs, key=lambda run: -run.level.span):
            bounds = level_bounds(LEVELS.index(run.level), run.begin, run.end)
            for sketch in self._sketches(partition, *bounds):
                union.add(sketch)
        return union.estimate()

    def visitors(self, month: Month, ad_id: str | None) -> Estimate:
        """Return how many users had an impression of an ad in a month; None: of any ad."""
        return self.users_of(self.partition_of(ad_id or ""), month_row(month, ad_id))

    def users_of(self, partition: int, row: bytes) -> Estimate:
        """Return how many users a row has."""
        if (live := self._live[partition].get(row)) is not None:
            return live.estimate()
        return _union_of(self.db(partition).get(row)).estimate()

    def rows_of(self, metric: int, partition: int) -> Iterator[SketchRow]:
        """Iterate over the rows of a metric, those that are not written yet among them."""
        live, first = self.live(partition, metric), bytes((metric,))
        stored = (row for row, _ in scan_prefix(self.db(partition), first) if row not in live)
        yield from map(SketchRow.unpack, chain(live, stored))

    def live(self, partition: int, number: int) -> dict[bytes, Union]:
        """Return the rows of a metric or own counter that are in memory, the newest there are."""
        return {row: union for row, union in self._live[partition].items() if row[0] == number}

    def _sketches(self, partition: int, begin: bytes, end: bytes) -> Iterator[Sketch]:
        """Yield the sketches of the rows in [begin, end)."""
        live, db = self._live[partition], self.db(partition)
        for row, union in live.items():
            if begin <= row < end:
                yield union.sketch(ordered=False)
        for row in scan_keys(db, begin):
            if row >= end:
                break
            if row not in live:
                yield decode_sketch(db.get(row))


def _union_of(value: bytes | None) -> Union:
    """Return the union of a stored sketch, or of none, to add to."""
    return Union() if value is None else Union(decode_sketch(value))
