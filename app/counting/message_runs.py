"""Facts about records with a message_id, as runs of sorted hashes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import msgspec
import numpy as np
from xxhash import xxh3_128_digest

from app.counting.hash_filter import HashFilter
from app.events.batches import Named

PAIRS_MAX = 1 << 20  # compared at once, where one message_id is there very often

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
        latest = max(latest, *times)
        at, when = (np.fromiter(column, np.int64, len(ids)) for column in (offsets, times))
        return cls._sorted(hashes[:, 0], low, at, when, latest)

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

    def offsets_at(self, places: Array) -> list[int]:
        """Return the offsets of the records at some places."""
        return (self.offsets[places].astype(np.int64) + self.offset).tolist()  # type: ignore[no-any-return]

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


class FilteredRuns:
    """Runs behind one filter, oldest first: most hashes are in none of them."""

    def __init__(self, width: int, runs: Iterable[MessageRun] = ()) -> None:
        """width: of the filter, see HashFilter."""
        self.runs: list[MessageRun] = []
        self._filter = HashFilter(width)
        for run in runs:
            self.add(run)

    def __len__(self) -> int:
        return sum(map(len, self.runs))

    def add(self, run: MessageRun) -> None:
        """Append a run that is not empty."""
        self.runs.append(run)
        self._filter.add(run.high)

    def may_have(self, asked: MessageRun) -> Array:
        """Return bool (n,): False for records that are in no run."""
        return self._filter.may_have(asked.high)

    def sent_before(self, asked: MessageRun, within_ms: int) -> Iterator[Array]:
        """Yield places of records of `asked` that these runs have an earlier one of."""
        places = np.flatnonzero(self.may_have(asked))
        for run in reversed(self.runs):
            if not len(places):
                return
            if len(again := run.sent_before(asked, places, within_ms)):
                yield again
                places = np.setdiff1d(places, again, assume_unique=True)


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
