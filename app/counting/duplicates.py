"""Whether a record was sent before: message_ids seen, as runs of sorted hashes. Pure.

Remembered are facts, not verdicts: of each record with a message_id its offset, its Kafka timestamp
and a hash. A verdict follows from the facts of lower offsets alone, so whatever part of the facts a
crash leaves above the committed position, and however often they are added again, the same records
get the same verdicts (docs/internals/decisions/duplicates.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import msgspec
import numpy as np
from xxhash import xxh3_128_digest

from app.events.batches import Named

ROW_IDS = 20_000  # of a packed run, 400 KB: a record batch holds 500,000 bytes
RUN_IDS = 1 << 18  # of a run in memory; merging two halves of it takes 15 ms
PAIRS_MAX = 1 << 20  # compared at once, where one message_id is there very often
HOUR_MS = 3_600_000
MARGIN_MS = HOUR_MS  # how far the records of a partition may lie out of their order in time

Array = np.ndarray

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, int, int, bytes, bytes, bytes, bytes]).decode


@dataclass(frozen=True, slots=True)
class MessageRun:
    """Facts about some records of one partition, sorted by hash; 20 bytes each.

    high, low: uint64 and uint32, the first 96 bits of the hash of a message_id. offsets, times:
    uint32, above those of the run (uint64 where they lie further apart). latest: ms, of the newest
    record of the partition up to here.
    """

    offset: int
    time: int
    latest: int
    high: Array
    low: Array
    offsets: Array
    times: Array

    @classmethod
    def of(cls, named: Named, latest: int = 0) -> Self:
        """Return records as a run; latest: of the records before them."""
        ids, offsets, times = named
        digests = b"".join([xxh3_128_digest(name.encode()) for name in ids])
        hashes = np.frombuffer(digests, "<u8").reshape(-1, 2)
        low = hashes[:, 1].astype(np.uint32)
        columns = hashes[:, 0], low, np.array(offsets), np.array(times)
        return cls._sorted(*columns, latest=max(latest, *times))

    @classmethod
    def merged(cls, runs: Sequence[Self]) -> Self:
        """Return several runs, in the order of their offsets, as one."""
        return cls._sorted(
            np.concatenate([run.high for run in runs]),
            np.concatenate([run.low for run in runs]),
            np.concatenate([run.offsets.astype(np.int64) + run.offset for run in runs]),
            np.concatenate([run.times.astype(np.int64) + run.time for run in runs]),
            max(run.latest for run in runs),
        )

    @classmethod
    def _sorted(cls, high: Array, low: Array, offsets: Array, times: Array, latest: int) -> Self:
        # Stable: of equal hashes the lowest offset comes first; and two sorted halves cost little.
        order = np.argsort(high, kind="stable")
        offset, time = int(offsets.min()), int(times.min())
        return cls(
            *(offset, time, latest, high[order], low[order]),
            *(_narrow(offsets - offset)[order], _narrow(times - time)[order]),
        )

    @classmethod
    def unpack(cls, value: bytes) -> Self:
        """Return what pack() packed."""
        offset, time, latest, *columns = _decode(value)
        high, low, offsets, times = columns
        count = len(low) // 4
        return cls(
            *(offset, time, latest, np.frombuffer(high, "<u8"), np.frombuffer(low, "<u4")),
            *(np.frombuffer(column, f"<u{len(column) // count}") for column in (offsets, times)),
        )

    def pack(self) -> bytes:
        """Return the run as bytes."""
        columns = self.high, self.low, self.offsets, self.times
        return _encode((self.offset, self.time, self.latest, *(c.tobytes() for c in columns)))

    def __len__(self) -> int:
        return len(self.high)

    @property
    def last(self) -> int:
        """The highest offset."""
        return self.offset + int(self.offsets.max())

    def sent_before(self, asked: Self, places: Array, within_ms: int) -> Array:
        """Return which of some places of a run hold a record that this run has an earlier one of.

        Earlier: of a lower offset, and less than within_ms before it by Kafka timestamps.
        """
        wanted = asked.high[places]
        first = np.searchsorted(self.high, wanted)
        met = np.flatnonzero(self.high[np.minimum(first, len(self) - 1)] == wanted)
        if not len(met):
            return met
        places, first, wanted = places[met], first[met], wanted[met]
        last = np.searchsorted(self.high, wanted, side="right") - 1
        found = np.zeros(len(places), bool)
        for own in (last, first):  # nearly always one of them decides
            found |= self._earlier(own, asked, places, within_ms)
        left = np.flatnonzero(~found & (last - first > 1))
        for some in _slices(left, (last - first)[left]):
            asks, own = _pairs(some, first, last)
            earlier = self._earlier(own, asked, places[asks], within_ms)
            found[asks[earlier]] = True
        return places[found]

    def _earlier(self, own: Array, asked: Self, places: Array, within_ms: int) -> Array:
        """Return for pairs of places, here and in another run, whether the first is an earlier."""
        offsets = self.offsets[own].astype(np.int64) + (self.offset - asked.offset)
        times = self.times[own].astype(np.int64) + (self.time - asked.time)
        return (  # type: ignore[no-any-return]
            (self.low[own] == asked.low[places])
            & (offsets < asked.offsets[places].astype(np.int64))
            & (asked.times[places].astype(np.int64) - times < within_ms)
        )


class Seen:
    """The message_ids of one partition that a record can still be a duplicate of."""

    def __init__(self, hours: int, rows: Iterable[bytes] = ()) -> None:
        """hours: how long a message_id is remembered. rows: what was packed, by offset."""
        self._within_ms = hours * HOUR_MS
        self._runs: list[MessageRun] = []  # oldest first, none longer than RUN_IDS
        self._fresh: list[MessageRun] = []
        self.latest = 0
        waiting: list[MessageRun] = []
        for run in map(MessageRun.unpack, rows):
            waiting.append(run)
            if sum(map(len, waiting)) + ROW_IDS > RUN_IDS:
                self._runs.append(MessageRun.merged(waiting))
                waiting = []
            self.latest = run.latest
        if waiting:
            self._runs.append(MessageRun.merged(waiting))

    def __len__(self) -> int:
        return sum(map(len, self._runs))

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
            self._runs.append(run)
            self._fresh.append(run)
            found.update(self._duplicates(run))
            self._merge()
        return found

    def sent_before(self, named: Named) -> bool | None:
        """Return whether one record, looked at before, is a duplicate; None: forgotten by now."""
        asked, place = MessageRun.of(named, self.latest), np.arange(1)
        if any(len(run.sent_before(asked, place, self._within_ms)) for run in self._runs):
            return True
        return None if named.times[0] < self.latest - MARGIN_MS else False

    def _duplicates(self, asked: MessageRun) -> Iterator[int]:
        places, high = np.arange(len(asked)), asked.high
        alone = not (high[1:] == high[:-1]).any()
        for run in reversed(self._runs[:-1] if alone else self._runs):
            if len(again := run.sent_before(asked, places, self._within_ms)):
                yield from (asked.offsets[again].astype(np.int64) + asked.offset).tolist()
                places = np.setdiff1d(places, again, assume_unique=True)

    def _merge(self) -> None:
        """Merge the newest runs while the one before is no longer than they, as in a log."""
        runs = self._runs
        while len(runs) > 1 and len(runs[-2]) <= len(runs[-1]) <= RUN_IDS - len(runs[-2]):
            runs[-2:] = [MessageRun.merged(runs[-2:])]

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

    def forgotten_before(self, now_ms: int) -> int:
        """Return the `latest` below which a run is of no use any more; now_ms: by the records."""
        return now_ms - self._within_ms - MARGIN_MS

    def expire(self, now_ms: int) -> int:
        """Drop the runs that nothing can be a duplicate of any more; return how many."""
        end, runs = self.forgotten_before(now_ms), self._runs
        old = next((at for at, run in enumerate(runs) if run.latest >= end), len(runs))
        del runs[:old]
        return old


def _narrow(column: Array) -> Array:
    """Return numbers from 0 on in as few bytes as they need, 4 or 8."""
    return column.astype(np.uint32 if column.max() < 1 << 32 else np.uint64)


def _slices(places: Array, sizes: Array) -> Iterator[Array]:
    """Cut places where their sizes add up to PAIRS_MAX."""
    if len(places):
        parts = np.cumsum(sizes + 1) // PAIRS_MAX
        yield from np.split(places, np.flatnonzero(np.diff(parts)) + 1)


def _pairs(asks: Array, first: Array, last: Array) -> tuple[Array, Array]:
    """Return each of some places as often as it has candidates, and the candidates."""
    counts = last[asks] - first[asks] + 1
    starts = np.cumsum(counts) - counts
    own = np.arange(counts.sum()) - np.repeat(starts - first[asks], counts)
    return np.repeat(asks, counts), own
