"""Partial counts: what one partition of `events` adds to each row, and how far it was read.

Value: (last source offset, {slot: count}, see tables.carrying). Events at or below the stored
offset are in the count already, so a batch that comes again, in part or late changes nothing. Each
flush publishes the changed rows as absolute values to `counts`, before the table remembers the
offset.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import msgspec

from app.counting.counters import Counters
from app.counting.groups import GroupKey
from app.counting.row_keys import OWN, ROW_PART, SOURCE, SOURCE_PART, mark_of
from app.counting.spec import Cells, counts_partition
from app.errors import SettingsError
from tables.carrying import SpreadFold
from tables.flush_hook import FlushHook
from tables.layout import LayoutRow, check_partial
from tables.outcome_row import OUTCOMES_ROW, OutcomeRow
from tables.partial_values import (
    CARRIES,
    FoldRange,
    Partial,
    add_singly,
    decode_partial,
    encode_partial,
    overflows,
)
from tables.turns import in_buckets
from tables.write_behind import WriteBehindTable

ALL_SOURCES = -1  # what is sent for several source partitions together
CACHE_MAX = 200_000  # rows of a partition kept in memory between flushes
FLUSH_CHUNK = 3000  # rows, 0.03 s of work

NO_CELLS: Cells = {}  # of all new rows; never filled, as absorb() puts the first cells in its place

_encode = msgspec.msgpack.Encoder().encode
_row_of = itemgetter(ROW_PART)


class Partials(WriteBehindTable, OutcomeRow, LayoutRow):
    """(counter, key, row start, label) of a source partition: (last offset, {slot: count})."""

    def __init__(
        self,
        app: Any,
        *,
        counters: Counters,
        counts_topic: str,
        counts_partitions: int,
        rules: Mapping[int, int],
        **kwargs: Any,
    ) -> None:
        """rules: see tables.layout."""
        super().__init__(app, **kwargs)
        self.counters, self._rules = counters, rules
        self._counts_topic, self._counts_partitions = counts_topic, counts_partitions
        self._cache: defaultdict[int, dict[bytes, Partial]] = defaultdict(dict)
        self.dirty = defaultdict[int, set[bytes]](set)  # rows that wait for a flush
        self._read_to: dict[int, int] = {}
        self._done: defaultdict[int, list[Callable[[], object]]] = defaultdict(list)
        self._flushed, self.flushing = dict[int, int](), dict[int, int]()  # positions, by partition
        self._sums = {spec.number for spec in counters.values() if spec.measure.signs > 1}
        self.too_large: Counter[int] = Counter()  # events that a sum had no room for, by number
        self._checked, self._hooks = set[int](), list[FlushHook]()
        self.when_flushed: Callable[[int], object] = lambda _partition: None  # called after it
        self._again: set[int] = set()
        self.full: defaultdict[int, dict[GroupKey, int]] = defaultdict(dict)  # as far as known

    def carry(self, hook: FlushHook) -> None:
        """Let something else come along with each flush."""
        self._hooks.append(hook)

    def absorb(self, partition: int, first: int, last: int, fold: FoldRange) -> None:
        """Add the events of a batch; first, last: their offsets."""
        self.check_layout(partition)
        carried, full = self.counters.carried, self.full[partition]
        folded = SpreadFold(carried, fold, lambda some: self.load(partition, some), full)
        rows = folded.rows(first - 1, last)
        cache = self.load(partition, rows)
        # Also rows that do not change: RocksDB may be ahead of the changelog and of `counts`.
        self.dirty[partition].update(rows)
        partials = [cache[row] for row in rows]
        # Where rows have seen a part of the batch, each up to an offset of its own, cut it there.
        cuts = sorted({at for partial in partials if first <= (at := partial.last) < last})
        begins, sums = [first - 1, *cuts], self._sums
        for begin, end in zip(begins, [*cuts, last], strict=True):
            for row, cells in (folded.rows(begin, end) if cuts else rows).items():
                partial = cache[row]
                if partial.last > begin:
                    continue  # it has seen this piece
                if sums and row[0] in sums and overflows(partial.cells, cells):
                    self.too_large[row[0]] += add_singly(partial, row, fold, begin, end)
                elif counted := partial.cells:
                    for slot, count in cells.items():
                        counted[slot] = counted.get(slot, 0) + count
                else:
                    partial.cells = cells
        for partial in partials:
            if partial.last < last:  # noqa: PLR1730 - half the time of max()
                partial.last = last

    async def on_recovery_completed(self, active_tps: Any, standby_tps: Any) -> None:
        """As BatchTable; ends the worker where rows were written under other settings."""
        await super().on_recovery_completed(active_tps, standby_tps)
        try:
            for tp in active_tps:
                self.layout_of(tp.partition)
        except SettingsError as exc:
            await self.app.consumer.fail(exc)

    def absorbed(self, partition: int, position: int, done: Callable[[], object]) -> None:
        """Note that everything below a position of a source partition is absorbed.

        done: called after the flush that holds it, so that it may be committed.
        """
        self.reach(partition, position)  # of the last records, what follows them holds none
        self._read_to[partition] = position
        self._done[partition].append(done)

    def send_again(self, partition: int) -> None:
        """Send all rows of a source partition with the next flush: Kafka may have lost some."""
        self._again.add(partition)

    def flushed(self, partition: int) -> int:
        """Return the position that was flushed since partitions moved; 0: none was."""
        return self._flushed.get(partition, 0)

    @property
    def dirty_rows(self) -> int:
        """Rows that wait for a flush."""
        return sum(map(len, self.dirty.values()))

    def gathered(self) -> Collection[int]:
        """Return the source partitions of which something was absorbed."""
        return self._read_to.keys()

    async def before_release(self) -> None:
        """Called by the transport before a revocation or a stop: finish what is begun."""
        await self.flush()

    async def write_gathered(self, partitions: Collection[int]) -> None:
        """Publish, store and log what changed, all partitions together; then they may be committed.

        Beside it comes what rules, sessions and users gave rise to.
        """
        positions = self.flushing = {p: self._read_to.pop(p) for p in list(partitions)}
        dirty = {partition: self.dirty.pop(partition, set()) for partition in positions}
        done = [call for partition in positions for call in self._done.pop(partition, ())]
        for partition in (p for p, rows in dirty.items() if OUTCOMES_ROW in rows):
            self.note_committed(partition)
        await self._flush_rows(dirty, positions)
        for partition in positions:
            for hook in self._hooks:
                await hook.flush(partition)
        for partition in self._again & positions.keys():
            await self.send_all_beside(partition)
            self._again.discard(partition)
        self._flushed.update(positions)
        for call in done:
            call()
        for partition in positions:
            self.when_flushed(partition)
            if len(self._cache[partition]) > CACHE_MAX:
                self._trim(partition)

    async def _flush_rows(self, dirty: dict[int, set[bytes]], positions: dict[int, int]) -> None:
        """Publish and write rows in chunks, so that queries get their turn.

        Sorted over all source partitions: those of one row follow each other into `counts`, and
        are merged and written there once. positions: to be published behind the rows.
        """
        keys: list[bytes] = []
        for partition, rows in dirty.items():
            source = SOURCE.pack(partition)
            keys += [row + source for row in rows]
            await asyncio.sleep(0)
        cache, carried = self._cache, self.counters.carried
        carrier = -1 if carried is None else carried.base.number
        buckets = await in_buckets(keys, FLUSH_CHUNK, _row_of)
        for place, chunk in enumerate(buckets, 1):
            chunk.sort()
            changed: dict[int, list[tuple[bytes, bytes | None]]] = {p: [] for p in dirty}
            of_source = {SOURCE.pack(p): (cache[p], changed[p].append) for p in dirty}
            published: list[tuple[bytes, bytes | None]] = []
            for key in chunk:
                cached, add = of_source[key[SOURCE_PART]]
                row = key[ROW_PART]
                partial = cached[row]
                value = encode_partial(partial) if row[0] == carrier else _encode(partial)
                add((row, value))
                published.append((key, value))
            await self._publish(published, positions if place == len(buckets) else {})
            for partition, written in changed.items():
                if written:
                    await self.write(partition, written)
            await asyncio.sleep(0)

    def shrink(self) -> None:
        """Forget all that is written."""
        for partition in list(self._cache):
            self._trim(partition)

    def _trim(self, partition: int) -> None:
        """Forget rows that are not waiting for a flush."""
        cache, dirty = self._cache[partition], self.dirty[partition]
        self._cache[partition] = {row: cache[row] for row in dirty}

    async def _publish(
        self, rows: Sequence[tuple[bytes, bytes | None]], positions: dict[int, int]
    ) -> None:
        """Send rows to the partitions of `counts` that own their keys, then a mark to each.

        rows: (row and source partition, value), those of one row together. positions: by source
        partition.
        """
        specs, targets = self.counters.known, self._counts_partitions
        published: list[list[tuple[bytes, bytes | None]]] = [[] for _ in range(targets)]
        before, add = b"", published[0].append
        for record in rows:
            row = record[0][ROW_PART]
            if row != before:
                if row[:1] == OWN:
                    continue
                before = row
                key = specs[row[0]].keys.key_of(row)
                add = published[counts_partition(key, targets)].append
            add(record)
        marks = [
            (mark_of(source), _encode((position, {0: position})))
            for source, position in positions.items()
        ]
        for target, found in enumerate(published):
            records = self.record_batches()
            records.extend(found)
            records.extend(marks)
            await self.send(ALL_SOURCES, self._counts_topic, target, records)

    def load(self, partition: int, rows: Iterable[bytes]) -> dict[bytes, Partial]:
        """Return what is in memory of a partition, with these rows."""
        cache = self._cache[partition]
        missing = [row for row in rows if row not in cache]
        if missing:
            values = self.db(partition).get(missing)
            for row, value in zip(missing, values, strict=True):
                cache[row] = (
                    Partial(-1, NO_CELLS, CARRIES) if value is None else decode_partial(value)
                )
        return cache

    async def send_rows(self, partition: int, rows: Sequence[tuple[bytes, bytes | None]]) -> None:
        """As BatchTable, and to `counts`."""
        source, generation = SOURCE.pack(partition), self.generation
        await self._publish([(row + source, value) for row, value in rows], {})
        if generation == self.generation:  # else a recovery may take them for its own
            await super().send_rows(partition, rows)

    def check_row(self, key: bytes, value: bytes) -> None:
        """As BatchTable."""
        check_partial(key, value, self.counters.by_number)

    def merge_values(self, old: bytes, new: bytes) -> bytes:
        """The value that has read further: a zombie's late write lowers nothing."""
        return new if decode_partial(new).last > decode_partial(old).last else old

    def forget(self) -> None:
        """Drop what is not flushed: it will be read again."""
        super().forget()
        known: tuple[Any, ...] = (self._checked, self._again, self.full)
        for state in (self._cache, self.dirty, self._read_to, self._done, self._flushed, *known):
            state.clear()
        for hook in self._hooks:
            hook.forget()

    def expired(self, partition: int, now: float) -> Iterable[tuple[bytes, bytes]]:  # noqa: ARG002
        """Return the ranges of keys past their retention, here and in `counts`."""
        return self.counters.expired_ranges(now)

    async def before_expiry(self) -> None:
        """Write what has gathered: none of it comes after a deletion."""
        await self.flush()

    async def delete(self, partition: int, rows: Sequence[bytes]) -> None:
        """As BatchTable, and in `counts`; what waits for a flush stays until a rebalance."""
        rows = [row for row in rows if row not in self.dirty[partition]]
        for row in rows:
            self._cache[partition].pop(row, None)
        source = SOURCE.pack(partition)
        await self._publish([(row + source, None) for row in rows], {})
        await super().delete(partition, rows)
