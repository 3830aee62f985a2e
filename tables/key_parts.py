"""What is kept of a counter's keys on one partition, for tables.key_sums."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from time import monotonic
from typing import Any

import msgspec
import numpy as np

from app.counting.key_columns import Pieces, RowColumns, TailSums, total_of
from app.counting.ranking import KeyNumbers
from app.counting.row_keys import split_tail
from app.counting.spec import Cells, CounterSpec
from tables.key_scans import ScannedRow

PASTS_MAX = 4  # ranges
LATE_MAX = 5_000  # tails that are read again one by one; for more, the range is read anew

_decode_all = msgspec.msgpack.Decoder(list[dict[int, int]]).decode
_ARRAY32 = b"\xdd"  # msgpack: an array, its length in four bytes

Span = tuple[int, int]
Changed = tuple[int, bytes, Cells]  # row start, tail, cells


class KeyPart:
    """TailSums by tail, and which key and label each tail has."""

    def __init__(self, spec: CounterSpec) -> None:
        self._spec, self._signs = spec, spec.measure.signs
        self.used = monotonic()
        self.tails = KeyNumbers()
        self._keys, self._labels = KeyNumbers(), KeyNumbers()
        self._key_of: list[int] = []  # by number of the tail
        self._label_of: list[int] = []
        self._arrays: tuple[Any, Any] = (np.zeros(0, np.int32), np.zeros(0, np.int32))
        self._rows: dict[int, _KeptRows] = {}
        self._pasts: dict[Span, _Past] = {}
        self.reading: dict[Span | int, Any] = {}  # what the rows that come are for

    # -- reading ----------------------------------------------------------------------------

    def missing(self, asked: Pieces) -> list[Span]:
        """Return [begin, end) of row starts that have to be read; what they are for is noted."""
        span = self._spec.row_span or 1
        wanted: list[Span] = []
        for start, slots in asked.rows.items():
            kept = self._rows.get(start)
            if kept is None or (slots is not None and not kept.columns.detail):
                self._rows[start] = _KeptRows(
                    RowColumns(self._signs, detail=slots is not None)
                )  # notes, too
                self.reading[start] = self._rows[start].columns
                wanted.append((start, start + span))
        if asked.past[1]:
            past = self._pasts.pop(asked.past, None) or self._longer(asked.past)
            if past is None:
                past = self.reading[asked.past] = _Past()
                wanted.append(asked.past)
            self._pasts[asked.past] = past  # the newest is the last
            while len(self._pasts) > PASTS_MAX:
                del self._pasts[next(iter(self._pasts))]
        return _joined(wanted)

    def _longer(self, wanted: Span) -> _Past | None:
        """Return the past of a while ago together with the rows that are over since then."""
        begin, end = wanted
        for span in [span for span in self._pasts if span[0] == begin and span[1] < end]:
            starts = range(span[1], end, self._spec.row_span)
            if all(start in self._rows and start not in self.reading for start in starts):
                past = self._pasts.pop(span)
                past.sums.grow(len(self.tails))
                for start in starts:
                    kept = self._rows[start]
                    kept.columns.add_to(past.sums, None)
                    past.late |= kept.changed.keys()
                return past
        return None

    def take(self, rows: Sequence[ScannedRow]) -> None:
        """Take rows that were read, where they are asked for."""
        past = next((key for key in self.reading if isinstance(key, tuple)), (0, 0))
        reading = self.reading
        some = [row for row in rows if row[0] in reading or past[0] <= row[0] < past[1]]
        if not some:
            return
        values = b"".join(value for _, _, value in some)
        cells = _decode_all(_ARRAY32 + len(some).to_bytes(4) + values)
        known, number_of = self.tails.numbers.get, self._number
        numbers = [
            number_of(tail) if (number := known(tail)) is None else number for _, tail, _ in some
        ]
        by_start: dict[int, dict[int, Cells]] = {}
        ids: list[int] = []
        whole: list[Cells] = []
        for (start, _, _), number, found in zip(some, numbers, cells, strict=True):
            if start in reading:
                by_start.setdefault(start, {})[number] = found
            else:
                ids.append(number)
                whole.append(found)
        for start, found_rows in by_start.items():
            reading[start].add(found_rows)
        if ids:
            reading[past].add(ids, total_of(whole, self._signs), len(self.tails))

    def changed(self, asked: Pieces) -> list[Changed]:
        """Return the rows that were merged since they were read, once."""
        found: list[Changed] = []
        for start in asked.rows:
            kept = self._rows[start]
            changed, kept.changed = kept.changed, {}
            found += [(start, tail, cells) for tail, cells in changed.items()]
        return found

    def renew(self, changed: Iterable[Changed]) -> None:
        """Set rows to what was merged."""
        by_start: dict[int, dict[int, Cells]] = {}
        for start, tail, cells in changed:
            by_start.setdefault(start, {})[self._number(tail)] = cells
        for start, rows in by_start.items():
            self._rows[start].columns.replace(rows)

    def late(self, asked: Pieces) -> set[bytes]:
        """Return the tails whose past has to be read again, once."""
        if (past := self._pasts.get(asked.past)) is None:
            return set()
        late, past.late = past.late, set()
        return late

    def set_past(self, asked: Pieces, tail: bytes, values: Sequence[bytes]) -> None:
        """Set the past of a tail; values: of its rows."""
        cells = _decode_all(_ARRAY32 + len(values).to_bytes(4) + b"".join(values))
        number = self._number(tail)
        self._pasts[asked.past].set(
            number, int(total_of(cells, self._signs).sum()), len(self.tails)
        )

    # -- what the totals tell ---------------------------------------------------------------

    def note(self, row: bytes, cells: Cells) -> None:
        """Remember a row that was merged."""
        start, tail = self._spec.keys.split(row)
        if (kept := self._rows.get(start)) is not None:
            kept.changed[tail] = cells
        for span in [span for span in self._pasts if span[0] <= start < span[1]]:
            self._pasts[span].late.add(tail)
            if len(self._pasts[span].late) > LATE_MAX and span not in self.reading:
                del self._pasts[span]

    # -- adding up --------------------------------------------------------------------------

    def by_key(self, asked: Pieces, label: bytes | None) -> tuple[list[bytes], TailSums]:
        """Return the keys, and the sum of each by its number. label: only this one's."""
        sums = TailSums(len(self.tails))
        for start, slots in asked.rows.items():
            self._rows[start].columns.add_to(sums, slots)
        if past := self._pasts.get(asked.past):
            sums.add_all(past.sums)
        key_of, label_of = self._of_tails()
        chosen = sums.seen
        if label is not None:
            chosen = chosen & (label_of == self._labels.numbers.get(label, -1))
        found = TailSums(len(self._keys))
        found.add(key_of[chosen], sums.values[chosen])
        return self._keys.keys, found

    def _number(self, tail: bytes) -> int:
        number = self.tails.number(tail)
        if number == len(self._key_of):
            key, label = split_tail(tail)
            self._key_of.append(self._keys.number(key))
            self._label_of.append(self._labels.number(label))
        return number

    def _of_tails(self) -> tuple[Any, Any]:
        """Return the number of the key and of the label of each tail."""
        known = len(self._arrays[0])
        if known < len(self._key_of):
            new = self._key_of[known:], self._label_of[known:]
            pairs = zip(self._arrays, new, strict=True)
            keys, labels = (np.concatenate((old, np.array(more, np.int32))) for old, more in pairs)
            self._arrays = keys, labels
        return self._arrays


class _KeptRows:
    """The rows of one start, and those of them that were merged since they were read."""

    def __init__(self, columns: RowColumns) -> None:
        self.columns = columns
        self.changed: dict[bytes, Cells] = {}


class _Past:
    """TailSums of many rows of each tail. late: tails whose rows were merged since then."""

    def __init__(self) -> None:
        self.sums = TailSums(0)
        self.late: set[bytes] = set()

    def add(self, ids: list[int], values: Any, size: int) -> None:
        """Add values to tails; size: more than the largest number."""
        self.sums.grow(size)
        self.sums.add(ids, values)

    def set(self, number: int, value: int, size: int) -> None:
        """Set the sum of a tail."""
        self.sums.grow(size)
        self.sums.values[number] = value
        self.sums.seen[number] = True


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Return spans with those that touch each other made one, in order."""
    found: list[Span] = []
    for begin, end in sorted(spans):
        if found and found[-1][1] >= begin:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((begin, end))
    return found
