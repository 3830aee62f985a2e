"""Total counts: the partials of all source partitions, merged.

Value: {source partition << 8 | slot: count}, the largest count seen of each: a grow-only counter.
A record of `counts` that comes twice, late or out of order changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from math import inf
from time import time
from typing import Any

import msgspec

from app.counting.counters import Counters
from app.counting.row_keys import MARK, ROW_PART, source_of
from app.counting.spec import FOREVER, Cells, CounterSpec, counts_partition
from app.kafka.strange import UNREADABLE, leave_out
from tables.batch_table import BatchTable
from tables.carrying import CarriedCells, Merged
from tables.key_ranges import check_number, prefixes_of
from tables.partial_values import decode_published
from tables.reached import Reached, all_reached, marks_last
from tables.scans import scan_after, scan_prefix
from tables.sums import SUMS, AllTimeSums
from tables.turns import InSteps, at_once
from tables.unreadable import check_key
from tables.watchers import Changes, Watcher

POSITION = b"\0at"  # key of how far `counts` is merged
OWN_ROWS = {POSITION, MARK}
SLOT_BITS, SLOT_MASK = 8, 0xFF
CACHE_MAX = 200_000  # rows of a partition

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(dict[int, int]).decode


class Totals(BatchTable):
    """(counter, key, row start, label): {source partition and slot: count}."""

    only_here = (SUMS,)

    def __init__(self, app: Any, *, counters: Counters, **kwargs: Any) -> None:
        super().__init__(app, **kwargs)
        self._counters = counters
        self._cache: defaultdict[int, dict[bytes, Cells]] = defaultdict(dict)
        self._sums = AllTimeSums(counters.values())
        self.reached = Reached(lambda part, asked: all_reached(self.merged_to(part), asked))
        self._carrying = defaultdict[int, CarriedCells](lambda: CarriedCells(counters.carried))
        self._watchers: list[Watcher] = [self.reached]

    def watch(self, number: int) -> Changes:
        """Return a record of the rows of one counter that change from now on."""
        changes = Changes(number, self._counters.by_number[number].keys.check)
        self.watch_with(changes)
        return changes

    def watch_with(self, watcher: Watcher) -> None:
        """Tell a watcher of all rows that change from now on."""
        self._watchers.append(watcher)

    async def merge(self, partition: int, batch: Iterable[Any], after: int) -> None:
        """Merge the records of one fetch of `counts`; after: the position behind them."""
        records, carrying = self._readable(partition, batch)
        records += self._carrying[partition].levels(carrying, time())
        # As they came, each once: they come sorted, and RocksDB finds neighbours faster.
        cache = self._load(partition, dict.fromkeys([row for row, _, _ in records]))
        rows: dict[bytes, Cells] = {}
        grown: dict[bytes, int] = {}
        in_sums = self._sums.specs
        for row, source, published in records:
            more, cells = 0, rows.setdefault(row, cache[row])
            for slot, count in published.items():
                if (before := cells.get(source | slot, 0)) < count:
                    cells[source | slot] = count
                    more += count - before
            if more and row[0] in in_sums:
                grown[row] = grown.get(row, 0) + more
        late = self._sums.late(partition, self.db(partition), grown) if grown else ()
        # Rows that did not change too: RocksDB may be ahead of the changelog after a kill.
        written = [*((row, rows[row]) for row in marks_last(rows)), (POSITION, {0: after})]
        generation = self.generation
        await self.write(partition, [(row, _encode(cells)) for row, cells in written], late)
        if generation != self.generation:  # what watchers knew of all before it is forgotten
            return
        for changes in self._watchers:
            changes.note(partition, rows, after)
        if len(cache) > CACHE_MAX:
            cache.clear()

    def _readable(self, partition: int, batch: Iterable[Any]) -> tuple[list[Merged], list[Merged]]:
        """Return records, and the seconds of those that carry some; see unreadable."""
        found: list[Merged] = []
        carrying: list[Merged] = []
        strange: list[tuple[Any, BaseException]] = []
        known, cache = self._counters.by_number, self._cache[partition]
        carried = self._counters.carried
        for record in batch:
            key, value = record.key, record.value
            if value is None:
                continue
            try:
                published, row = decode_published(value), key[ROW_PART]
                fine, place = published.fine, None
                if fine and (carried is None or (place := carried.place(row)) is None):
                    raise ValueError("seconds in a row that carries none")
                if row not in cache and row != MARK and (spec := known.get(row[0])) is not None:
                    spec.keys.check(row)
                source = source_of(key) << SLOT_BITS
                found.append((row, source, published.cells))
                if fine and place is not None:
                    carrying.append((row, source | place, fine))
            except (*UNREADABLE, TypeError) as exc:  # TypeError: no key
                strange.append((record, exc))
        leave_out(strange)
        return found, carrying

    def position(self, partition: int) -> int | None:
        """Return the position of `counts` that is merged; None: nothing is."""
        return _decode(value)[0] if (value := self.db(partition).get(POSITION)) else None

    def _load(self, partition: int, rows: Iterable[bytes]) -> dict[bytes, Cells]:
        cache = self._cache[partition]
        missing = [row for row in rows if row not in cache]
        if missing:
            values = self.db(partition).get(missing)
            for row, value in zip(missing, values, strict=True):
                cache[row] = {} if value is None else _decode(value)
        return cache

    def check_row(self, key: bytes, value: bytes) -> None:
        """As BatchTable."""
        check_key(key, self._counters.by_number, OWN_ROWS)
        _decode(value)

    def merge_values(self, old: bytes, new: bytes) -> bytes:
        """The larger count of each cell."""
        cells, added = _decode(old), _decode(new)
        for cell, count in added.items():
            if cells.get(cell, 0) < count:
                cells[cell] = count
        return new if cells == added else _encode(cells)

    def recovered(
        self, partition: int, changed: Sequence[tuple[bytes, bytes | None, bytes]]
    ) -> Iterable[tuple[bytes, bytes]]:
        """The sums of rows that recovery changed."""
        db, sums = self.db(partition), self._sums
        grown = {
            row: sum(_decode(new).values()) - (sum(_decode(old).values()) if old else 0)
            for row, old, new in changed
            if row[0] in sums.specs
        }
        return [*sums.recovering(partition, db), *sums.late(partition, db, grown)]

    def forget(self) -> None:
        """Drop what is only in memory."""
        super().forget()
        self._cache.clear()
        self._carrying.clear()
        self._sums.forget()
        for changes in self._watchers:
            changes.forget()

    def expired(self, partition: int, now: float) -> Iterable[tuple[bytes, bytes]]:  # noqa: ARG002
        """Return the ranges of keys past their retention."""
        return self._counters.expired_ranges(now)

    async def delete(self, partition: int, rows: Sequence[bytes]) -> None:
        """As BatchTable."""
        for row in rows:
            self._cache[partition].pop(row, None)
        await super().delete(partition, rows)

    # -- reading --------------------------------------------------------------------------

    def partition_of(self, key: str) -> int:
        """Return the partition that owns a counted key."""
        return counts_partition(key.encode(), self.partitions)

    def read(self, name: str, key: str, begin: int, end: int) -> dict[int, dict[str, int]]:
        """Return {window start: {label: count}} of the windows that begin in [begin, end).

        All-time counters have one window, which starts at 0. Times: seconds since 1970. Counts of
        a sum are millionths: measure.shown() of the counter makes a number of each.
        The caller has checked that this worker owns the key.
        """
        return at_once(self.reading(name, key, begin, end))

    def reading(
        self, name: str, key: str, begin: int, end: int, most: float = inf
    ) -> InSteps[dict[int, dict[str, int]]]:
        """Read as read() does, a row a step; who goes on later checks that the key is still ours.

        Raises BadRequestError where there are more than `most` counts.
        """
        spec = self._counters.stored(name)
        db = self.db(self.partition_of(key))
        if spec.name != name:
            found = yield from self._sums.reading(db, spec, key)
            return {0: found} if found else {}
        windows, new = dict[int, dict[str, int]](), 0
        for prefix in prefixes_of(spec, key, begin, end):
            yield
            for row, value in scan_prefix(db, prefix):
                _, start, label = spec.keys.parse(row)
                for window, count in windows_of(spec, start, _decode(value)).items():
                    if begin <= window < end:
                        labels = windows.setdefault(window, {})
                        new += label not in labels
                        labels[label] = labels.get(label, 0) + count
                check_number(new, most)
                yield
        return windows

    def read_all(self, name: str, key: str) -> dict[int, dict[str, int]]:
        """Return read() of all windows that are kept."""
        return self.read(name, key, 0, FOREVER)

    def settle(self, name: str, key: str) -> bool:
        """Make read() of a counter cheap, a step at a time; return False while there are more."""
        spec = self._counters.stored(name)
        partition = self.partition_of(key)
        return spec.name == name or self._sums.settle(partition, self.db(partition), spec, key)

    def settling(self, name: str, key: str) -> InSteps[None]:
        """Settle until there is no more; who goes on later checks that the key is still ours."""
        while not self.settle(name, key):
            yield

    def keys_of(self, name: str, partition: int) -> Iterator[str]:
        """Iterate over the keys of a counter of all time, in order."""
        return self._sums.keys_of(self.db(partition), self._counters.stored(name))

    def row_counts(self, partition: int, row: bytes) -> tuple[str, str, dict[int, int]]:
        """Return (key, label, {window start: count}) of a row."""
        spec = self._counters.by_number[row[0]]
        key, start, label = spec.keys.parse(row)
        cells = self._cache[partition].get(row)  # what is only read does not fill the cache
        if cells is None:
            value = self.db(partition).get(row)
            cells = {} if value is None else _decode(value)
        return key, label, windows_of(spec, start, cells)

    def rows_of(self, number: int, partition: int) -> Iterator[bytes]:
        """Iterate over the rows of a counter."""
        for row, _ in scan_prefix(self.db(partition), self._counters.by_number[number].keys.first):
            yield row

    def scan(self, partition: int, prefix: bytes) -> Iterator[tuple[bytes, Cells]]:
        """Iterate over the rows that begin with prefix, in order: (row, cells).

        cells: counts by source partition and slot. What is merged meanwhile may be missing.
        """
        for row, value in scan_prefix(self.db(partition), prefix):
            yield row, _decode(value)

    def rows_after(
        self, number: int, partition: int, after: bytes
    ) -> Iterator[tuple[bytes, str, str, dict[int, int]]]:
        """Iterate over (row, key, label, {window start: count}) of a counter, in order.

        after: the row to go on behind; empty: from the first. Nothing is kept in the cache.
        """
        spec, cache = self._counters.by_number[number], self._cache[partition]
        for row, value in scan_after(self.db(partition), spec.keys.first, after):
            key, start, label = spec.keys.parse(row)
            cells = cache.get(row) or _decode(value)
            yield row, key, label, windows_of(spec, start, cells)

    def merged_to(self, partition: int) -> dict[int, int]:
        """Return {source partition: position of `events` up to which all is merged here}."""
        return {
            cell >> SLOT_BITS: position
            for cell, position in self._load(partition, (MARK,))[MARK].items()
        }


def windows_of(spec: CounterSpec, start: int, cells: Cells) -> dict[int, int]:
    """Return {window start: value} of a row, added up over the source partitions."""
    if spec.measure.signs > 1:
        return spec.signed(start, ((cell & SLOT_MASK, count) for cell, count in cells.items()))
    window, counts = spec.window or 0, dict[int, int]()
    for cell, count in cells.items():
        begin = start + (cell & SLOT_MASK) * window
        counts[begin] = counts.get(begin, 0) + count
    return counts
