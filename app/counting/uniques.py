"""Distinct users: what is counted, in which rows, and the sketches that do it. No Faust, no I/O.

A theta sketch holds the hashes of the users it has seen: all of them up to 4,096, of more the
smallest ones, from which it estimates. The union of sketches is the same in any order and number,
so a batch that comes again, in part or late changes nothing (docs/internals/decisions/uniques.md).
"""

from __future__ import annotations

import struct
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from itertools import compress
from typing import Any, NamedTuple

import numpy as np
from datasketches import compact_theta_sketch, theta_union, update_theta_sketch

from app.counting.spec import DAY, HOUR, MINUTE, CounterSpec
from app.counting.stats_window import HOURS, MINUTES, SECONDS, Level, Month
from app.events.batches import Slice
from app.events.derived import AD_IMPRESSION

# The first byte of a row; of rows of declared counters it is their number, from 61 on.
METRICS = ACTIVE_USERS, AD_VISITORS, AD_VISITORS_ALL = 1, 2, 3
LG_K = 12  # 4,096 users exactly, then a relative error of 3.1 % with a probability of 95 %
IMPRESSIONS = frozenset({AD_IMPRESSION})
DEVIATIONS = 2  # the stated error is so many standard deviations
ERROR_DIGITS = 4

# Days are rows too: without them a window of 31 days is a union of 744 hours, 30 ms of a worker.
DAYS = Level("d", DAY, HOURS.keeps)
LEVELS = (SECONDS, MINUTES, HOURS, DAYS)
MONTHLY = len(LEVELS)  # in the place of a level; months are kept for good

_ROW = struct.Struct(">BBI")  # metric, level, start of the bucket in s since 1970; then the key

Sketch = Any  # compact_theta_sketch: immutable; the package has no types
decode_sketch = compact_theta_sketch.deserialize  # bytes -> Sketch


class Estimate(NamedTuple):
    """users: how many. error: relative, 2 standard deviations; 0 while exact."""

    users: int
    error: float


class SketchRow(NamedTuple):
    """Which users a sketch is about; level: a place in LEVELS, or MONTHLY. key: ad_id or empty."""

    metric: int
    level: int
    start: int
    key: str = ""

    def pack(self) -> bytes:
        """Return the table key; rows that expire together lie next to each other."""
        return _ROW.pack(self.metric, self.level, self.start) + self.key.encode()

    @classmethod
    def unpack(cls, row: bytes) -> SketchRow:
        """Return the row of a table key."""
        metric, level, start = _ROW.unpack_from(row)
        return cls(metric, level, start, row[_ROW.size :].decode())


def check_sketch_row(key: bytes) -> None:
    """Raise struct.error or ValueError where no sketch has such a table key."""
    row = SketchRow.unpack(key)
    levels = range(MONTHLY) if row.metric == ACTIVE_USERS else range(MONTHLY, MONTHLY + 1)
    if row.metric not in METRICS or row.level not in levels:
        raise ValueError(f"no sketch has a key like {row}")


def owner_key(row: bytes, own: Mapping[int, CounterSpec]) -> bytes:
    """Return what decides the partition of a row, as the counted key does in `counts`.

    own: declared counters by number.
    """
    spec = own.get(row[0])
    return row[_ROW.size :] if spec is None else spec.keys.key_of(row)


def buckets_of(row: bytes, now: float) -> list[bytes]:
    """Return the rows that the users of a sent row belong to: itself and the larger buckets.

    now: seconds since 1970; a bucket that is past its retention is left out.
    """
    metric, level, start = _ROW.unpack_from(row)
    if metric != ACTIVE_USERS:
        return [row]
    kept = ((at, LEVELS[at]) for at in range(level, len(LEVELS)) if LEVELS[at].has(start, now))
    return [_ROW.pack(metric, at, start - start % one.span) for at, one in kept]


def month_row(month: Month, ad_id: str | None) -> bytes:
    """Return the row of an ad's visitors in a month; None: of all ads."""
    metric = AD_VISITORS_ALL if ad_id is None else AD_VISITORS
    return SketchRow(metric, MONTHLY, month.begin, ad_id or "").pack()


def level_bounds(level: int, begin: int, end: int) -> tuple[bytes, bytes]:
    """Return [first, last) of the rows of active users that start in [begin, end)."""
    low, high = (_ROW.pack(ACTIVE_USERS, level, max(0, at)) for at in (begin, end))
    return low, high


def expired_bounds(now: float) -> Iterator[tuple[bytes, bytes]]:
    """Yield [first, last) of the rows of each level that are past its retention."""
    for place, level in enumerate(LEVELS):
        yield level_bounds(place, 0, level.oldest(now))


def finest_starts(seconds: np.ndarray, now: float) -> np.ndarray:
    """Return the start of the finest bucket that is still kept, for each second; both int64.

    Of all that are not kept: some start that is not, either.
    """
    second, minute, hour = (level.oldest(now) for level in (SECONDS, MINUTES, HOURS))
    if not len(seconds) or seconds.min() >= second:
        return seconds
    spans = np.select(
        [seconds >= second, seconds >= minute, seconds >= hour], [1, MINUTE, HOUR], DAY
    )
    starts: np.ndarray = seconds - seconds % spans
    return starts


class Accumulator:
    """The users of one source partition's events since they were last taken, as few rows.

    Only the finest bucket that is still kept: whoever merges it adds it to the larger ones.
    """

    def __init__(self) -> None:
        self._sketches: dict[bytes, update_theta_sketch] = {}

    def __len__(self) -> int:
        return len(self._sketches)

    def note(self, events: Slice, now: float) -> None:
        """Add events; now: seconds since 1970, for what is too old to be kept."""
        if events.events:
            self._note_active(events, now)
        if events.has_any(IMPRESSIONS):
            self._note_visitors(events)

    def note_values(self, values: Mapping[bytes, set[str | None]]) -> None:
        """Add values to the rows of counters of a counters.toml."""
        for row, found in values.items():
            self._add(row, found)

    def take(self) -> dict[bytes, bytes]:
        """Return {row: sketch}, and begin anew."""
        taken, self._sketches = self._sketches, {}
        return {row: sketch.compact().serialize() for row, sketch in taken.items()}

    def _note_active(self, events: Slice, now: float) -> None:
        bucket_of, users = finest_starts(events.seconds, now), events.users
        starts = bucket_of.tolist()
        buckets: defaultdict[int, set[str | None]] = defaultdict(set)
        # Times mostly rise: a bucket is a few runs of events.
        begin = 0
        for end in [*(np.flatnonzero(np.diff(bucket_of)) + 1).tolist(), len(starts)]:
            buckets[starts[begin]].update(users[begin:end])
            begin = end
        for start, found in buckets.items():
            for place, level in enumerate(LEVELS):
                if level.has(start, now):
                    self._add(SketchRow(ACTIVE_USERS, place, start).pack(), found)
                    break

    def _note_visitors(self, events: Slice) -> None:
        """Add the users of impressions to their month, with and without the ad."""
        visitors: defaultdict[tuple[int, str | None], set[str | None]] = defaultdict(set)
        chosen = zip(events.events, events.times, strict=True)
        for event, time in compress(chosen, events.of_types(IMPRESSIONS)):
            if event.ad_id is not None:
                day = int(time) // DAY
                visitors[day, event.ad_id].add(event.user_id)
        months = {day: Month.of(day * DAY) for day in {day for day, _ in visitors}}
        for (day, ad_id), found in visitors.items():
            self._add(month_row(months[day], ad_id), found)
            self._add(month_row(months[day], None), found)

    def _add(self, row: bytes, users: set[str | None]) -> None:
        """Add users; who has no user_id, or an empty one, is nobody."""
        users.discard(None)
        users.discard("")
        if not users:
            return
        sketch = self._sketches.get(row)
        if sketch is None:
            sketch = self._sketches[row] = update_theta_sketch(LG_K)
        deque(map(sketch.update, users), maxlen=0)


class Union:
    """A sketch that others are added to."""

    def __init__(self, *sketches: Sketch) -> None:
        self._union = theta_union(LG_K)
        for sketch in sketches:
            self.add(sketch)

    def add(self, sketch: Sketch) -> None:
        """Add the users of a sketch."""
        self._union.update(sketch)

    def sketch(self, *, ordered: bool = True) -> Sketch:
        """Return all that was added; ordered: seven times the work, and less for its readers."""
        return self._union.get_result(ordered)

    def estimate(self) -> Estimate:
        """Return how many users were added."""
        return estimate_of(self.sketch(ordered=False))


def includes(sketch: Sketch, other: Sketch) -> bool:
    """Return whether a sketch has seen all that another has, as far as they can tell."""
    both, alone = (Union(*some).sketch().serialize() for some in ((sketch, other), (sketch,)))
    return bool(both == alone)


def estimate_of(sketch: Sketch) -> Estimate:
    """Return how many users a sketch has seen."""
    users = sketch.get_estimate()
    if not sketch.is_estimation_mode():
        return Estimate(round(users), 0.0)
    low, high = sketch.get_lower_bound(DEVIATIONS), sketch.get_upper_bound(DEVIATIONS)
    return Estimate(round(users), round(max(high - users, users - low) / users, ERROR_DIGITS))
