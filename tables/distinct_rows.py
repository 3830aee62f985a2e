"""Reading the counters that measure distinct values: of one key, of all keys, their names.

Rows lie in the table `uniques`, one for a window, and are written once a flush: what is in memory
is newer, and read instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from itertools import chain
from operator import itemgetter

from app.counting.row_keys import split_tail
from app.counting.spec import CounterSpec
from app.counting.uniques import Sketch, Union, decode_sketch, estimate_of
from app.errors import BadRequestError
from tables.key_ranges import prefixes_of
from tables.key_scans import rows_between
from tables.scans import scan_after, scan_prefix
from tables.turns import Turns
from tables.uniques import Uniques

HASH_BYTES = 8
HELD_MAX_BYTES = 64 << 20  # of sketches that a ranking over windows that expire holds at a time
RANKED_SLACK = 4  # so many times the limit are kept until they are sorted again

Found = tuple[bytes, Sketch | Union]  # row, and its sketch as it is kept
RankedKey = tuple[bytes, int, float]  # key, how many values, relative error


class DistinctRows:
    """The rows of declared counters that measure distinct values."""

    def __init__(self, uniques: Uniques) -> None:
        self._uniques = uniques

    def of_key(
        self, spec: CounterSpec, key: str, begin: int, end: int
    ) -> Iterator[tuple[int, str, Sketch]]:
        """Iterate over (window start, label, sketch) of a key, in order.

        Windows that begin in [begin, end), seconds since 1970; without windows it is 0.
        """
        partition = self._uniques.partition_of(key)
        db = self._uniques.db(partition)
        prefixes = prefixes_of(spec, key, begin, end)
        stored = chain.from_iterable(scan_prefix(db, prefix) for prefix in prefixes)
        live = self._uniques.live(partition, spec.number)
        live = {row: union for row, union in live.items() if spec.keys.parse(row)[0] == key}
        for row, found in _newest(stored, live):
            _, start, label = spec.keys.parse(row)
            if begin <= start < end:
                yield start, label, _sketch_of(found)

    async def top(
        self,
        spec: CounterSpec,
        partitions: Iterable[int],
        span: tuple[int, int],
        label: str | None,
        limit: int,
        check: Callable[[], None],
    ) -> list[RankedKey]:
        """Return the limit keys of these partitions with the most values in a range.

        span: [begin, end) of windows, seconds since 1970. label: only this one's. check: raises
        where a partition moved. Raises BadRequestError where there is too much to hold.
        """
        best, turns = list[RankedKey](), Turns(check)
        for partition in partitions:
            for found in self._by_key(spec, partition, span, label):
                await turns.next()
                if found is None:
                    continue
                key, sketch = found
                users, error = estimate_of(sketch)
                if users:
                    best.append((key, users, error))
                if len(best) > limit * RANKED_SLACK:
                    best = ranked(best, limit)
        return ranked(best, limit)

    def keys_in_memory(self, spec: CounterSpec, partition: int) -> set[bytes]:
        """Return the keys of rows that may not be written yet."""
        rows = self._uniques.live(partition, spec.number)
        return {spec.keys.key_of(row) for row in rows}

    def rows_after(
        self, spec: CounterSpec, partition: int, after: bytes
    ) -> Iterator[tuple[bytes, str, str, int, bytes]]:
        """Iterate over (row, key, label, window start, sketch) of what is written, in order.

        after: the row to go on behind; empty: from the first.
        """
        db = self._uniques.db(partition)
        for row, value in scan_after(db, spec.keys.first, after):
            key, start, label = spec.keys.parse(row)
            yield row, key, label, start, value

    def _by_key(
        self, spec: CounterSpec, partition: int, span: tuple[int, int], label: str | None
    ) -> Iterator[tuple[bytes, Sketch] | None]:
        """Iterate over (key, union of its rows), each key once; None: a row more is read."""
        wanted, keys = None if label is None else label.encode(), dict[bytes, Sketch]()
        held, begin, end = 0, *span
        db = self._uniques.db(partition)
        stored = (
            (spec.keys.join(start, tail), value)
            for start, tail, value in rows_between(db, spec, begin, end)
        )
        for row, found in _newest(stored, self._uniques.live(partition, spec.number)):
            yield None
            start, tail = spec.keys.split(row)
            key, of = split_tail(tail)
            if not begin <= start < end or (wanted is not None and of != wanted):
                continue
            if spec.retention is None and key not in keys:  # they lie by key: the last is complete
                yield from keys.items()
                keys, held = {}, 0
            before, sketch = keys.get(key), _sketch_of(found)
            if before is not None:
                sketch = Union(before, sketch).sketch(ordered=False)
                held -= before.num_retained * HASH_BYTES
            keys[key] = sketch
            held += sketch.num_retained * HASH_BYTES
            if held > HELD_MAX_BYTES:
                raise BadRequestError(
                    f"{spec.name} has too many values in this range to rank its keys; "
                    "ask for fewer windows or for one label"
                )
        yield from keys.items()


def ranked(found: Iterable[RankedKey], limit: int) -> list[RankedKey]:
    """Return the first keys, those of the most values first, ties by key."""
    return sorted(found, key=lambda one: (-one[1], one[0]))[:limit]


def _newest(stored: Iterable[tuple[bytes, bytes]], live: dict[bytes, Union]) -> Iterator[Found]:
    """Iterate over rows in order, those in memory in place of what is written; both are sorted."""
    written = ((row, value) for row, value in stored if row not in live)
    return merge(written, sorted(live.items()), key=itemgetter(0))


def _sketch_of(found: Sketch | Union | bytes) -> Sketch:
    return found.sketch(ordered=False) if isinstance(found, Union) else decode_sketch(found)
