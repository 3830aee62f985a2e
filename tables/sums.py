"""Totals of all time of a counter that is kept by windows, at the same cost after ten years.

A row here is the sum of a key's windows that are over, by label. Who reads the key settles it
first: where many windows ended since then, they are taken into the sum. The few others are added
up. The rows lie only in RocksDB: they follow from the windows beside them, with which they are
written where an event comes late, so neither the changelog nor `counts` has more rows for them.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from time import time
from typing import Any

import msgspec
import rocksdict

from app.counting.spec import DAY, CounterSpec
from tables.scans import scan_from, scan_keys
from tables.turns import InSteps

SUMS = b"\0s"  # begins the keys; alone it is the key of what is true of all of them
FIRST_ROW = b"\1"  # behind what is no counter's
ROWS_MAX = 6  # of a key that are added up at each reading, besides those of the last days
STEP_ROWS = 300  # taken into a sum in a turn, some 10 ms

_STATE = struct.Struct(">II")


class Sum(msgspec.Struct, array_like=True):
    """through: second before which all windows are in it. counts: by label.

    label: of the rows that start at `through`, those of smaller labels are in it, too.
    """

    through: int
    counts: dict[str, int]
    label: str = ""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Sum).decode
_decode_cells = msgspec.msgpack.Decoder(dict[int, int]).decode


class _Reach:
    """What is true of all sums of a partition, in seconds since 1970.

    whole: each key has a sum of all its windows before it. reached: no sum goes further.
    """

    __slots__ = ("reached", "whole")

    def __init__(self, whole: int, reached: int) -> None:
        self.whole, self.reached = whole, reached

    @classmethod
    def of(cls, db: Any) -> _Reach:
        """Read it."""
        stored = db.get(SUMS)
        return cls(*_STATE.unpack(stored)) if stored else cls(0, 0)

    def row(self) -> tuple[bytes, bytes]:
        """Return the row that holds it."""
        return SUMS, _STATE.pack(self.whole, self.reached)


class AllTimeSums:
    """AllTimeSums of counters whose rows are kept for good."""

    def __init__(self, specs: Iterable[CounterSpec]) -> None:
        by_name = {spec.name: spec for spec in specs}
        summed = [by_name[spec.sum_of] for spec in by_name.values() if spec.sum_of]
        self.specs = {spec.number: spec for spec in summed}
        self._states: dict[int, _Reach] = {}

    def reading(self, db: Any, spec: CounterSpec, key: str) -> InSteps[dict[str, int]]:
        """Return {label: events of all time} of a key, at little cost once it is settled."""
        keys = spec.permanent_keys
        prefix = keys.with_key(key)
        known = _known(db, prefix)
        counts = known.counts
        for row, value in scan_from(db, keys.row(key, known.through, known.label), prefix):
            _, label = keys.start_and_label(row, len(prefix))
            counts[label] = counts.get(label, 0) + sum(_decode_cells(value).values())
            yield
        return counts

    def settle(self, partition: int, db: Any, spec: CounterSpec, key: str) -> bool:
        """Take days that are over into the sum, where they are many; at most STEP_ROWS at a time.

        Return False where some are left. Nearly always there is nothing to do.
        """
        keys, over = spec.permanent_keys, _days_over(spec)
        prefix = keys.with_key(key)
        known = _known(db, prefix)
        rows = 0
        for row, value in scan_from(db, keys.row(key, known.through, known.label), prefix):
            start, label = keys.start_and_label(row, len(prefix))
            if start >= over:
                break
            if rows >= STEP_ROWS:  # also within a day: a stranger may send very many types
                self._keep(partition, db, prefix, Sum(start, known.counts, label))
                return False
            counts = known.counts
            counts[label] = counts.get(label, 0) + sum(_decode_cells(value).values())
            rows += 1
        if rows > ROWS_MAX:
            self._keep(partition, db, prefix, Sum(over, known.counts))
        return True

    def _keep(self, partition: int, db: Any, prefix: bytes, found: Sum) -> None:
        changes, state = rocksdict.WriteBatch(raw_mode=True), self._state(partition, db)
        changes.put(SUMS + prefix, _encode(found))
        if (reached := found.through + bool(found.label)) > state.reached:
            state.reached = reached
            changes.put(*state.row())
        db.write(changes)

    def late(
        self, partition: int, db: Any, grown: Mapping[bytes, int]
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield what must be written with rows that grew; grown: {row: by how much}.

        Only what lies before the end of a sum changes it, and few events come so late.
        """
        state = self._state(partition, db)
        by_key: defaultdict[bytes, list[tuple[int, str, int]]] = defaultdict(list)
        for row, more in grown.items():
            row_keys = self.specs[row[0]].permanent_keys
            end = row_keys.key_end(row)
            start, label = row_keys.start_and_label(row, end)
            if start < state.reached:
                by_key[SUMS + row[:end]].append((start, label, more))
        keys = list(by_key)
        for key, stored in zip(keys, db.get(keys) if keys else (), strict=True):
            known = Sum(state.whole, {}) if stored is None else _decode(stored)
            known_to = known.through, known.label
            inside = [place for place in by_key[key] if place[:2] < known_to]
            for _, label, more in inside:
                known.counts[label] = known.counts.get(label, 0) + more
            if inside:
                yield key, _encode(known)

    def recovering(self, partition: int, db: Any) -> Iterator[tuple[bytes, bytes]]:
        """Yield what is written with the first rows of an empty RocksDB: all have sums then."""
        state = self._state(partition, db)
        if state.reached == 0 and next(scan_keys(db, FIRST_ROW), None) is None:
            state.whole = state.reached = min(map(_days_over, self.specs.values()), default=0)
            yield state.row()

    def keys_of(self, db: Any, spec: CounterSpec) -> Iterator[str]:
        """Iterate over the keys of a counter, in order, without reading all of their rows."""
        keys, cursor = spec.permanent_keys, db.iter()
        cursor.seek(keys.first)
        while cursor.valid() and (row := cursor.key()).startswith(keys.first):
            yield keys.key_of(row).decode()
            cursor.seek(keys.next_key(row))

    def _state(self, partition: int, db: Any) -> _Reach:
        state = self._states.get(partition)
        if state is None:
            state = self._states[partition] = _Reach.of(db)
        return state

    def forget(self) -> None:
        """Drop what is only in memory."""
        self._states.clear()


def _known(db: Any, prefix: bytes) -> Sum:
    stored = db.get(SUMS + prefix)
    return Sum(0, {}) if stored is None else _decode(stored)


def _days_over(spec: CounterSpec) -> int:
    """Return the second before which rows are of days that are over, and hardly grow."""
    recent = max(0, int(time()) - DAY)
    return recent - recent % spec.row_span
