"""Sessions of users: what one partition of `events` saw of them.

Key: start of the hour, user, session, sixth of the hour; value: (last source offset, first and
last microsecond, {second of the hour: events}). Events at or below the stored offset are in the
value already, as in the partials. A row is written whole at each flush, so it is no longer than
ten minutes; and the hour comes first, so that what expires is one range.
"""

from __future__ import annotations

import asyncio
import struct
from collections import defaultdict
from collections.abc import Callable, Iterable
from time import time
from typing import Any

import msgspec

from app.batches import Slice
from app.counters import DAY, HOUR
from tables.batch_table import BatchTable, scan_prefix

RETENTION_S = 62 * DAY
SPAN_S = 600  # of a row
CACHE_MAX = 100_000  # rows of a partition kept in memory between flushes
FLUSH_CHUNK = 10_000  # rows, 0.05 s of work
EXPIRE_CHUNK = 20_000  # rows deleted at a time, so that nothing waits long
MICROSECONDS = 1_000_000

Place = tuple[str, str, int]  # user, session, spans since 1970
Session = tuple[int, int, int]  # first and last microsecond since 1970, events

_HEAD = struct.Struct(">IH")  # start of the hour, length of the user
_SPAN = struct.Struct(">B")  # sixth of the hour
_encode = msgspec.msgpack.Encoder().encode


class Row(msgspec.Struct, array_like=True, gc=False):
    """A value; offset: the last one in it. seconds: of the hour."""

    offset: int
    first_us: int
    last_us: int
    seconds: dict[int, int]


_decode = msgspec.msgpack.Decoder(Row).decode


class Sessions(BatchTable):
    """(hour, user, session): when it was seen, how often; per partition of `events`."""

    def __init__(self, app: Any, *, owned: Callable[[], Iterable[int]], **kwargs: Any) -> None:
        """owned: partitions of `events` that are ours and recovered."""
        super().__init__(app, **kwargs)
        self._partitions_owned = owned
        self._cache: defaultdict[int, dict[Place, tuple[bytes, Row]]] = defaultdict(dict)
        self._dirty: defaultdict[int, set[Place]] = defaultdict(set)
        self._lock = asyncio.Lock()

    def note(self, partition: int, part: Slice, now: float) -> None:
        """Add the events of a batch that have a user and a session; now: s since 1970."""
        oldest = now - RETENTION_S
        seen = [
            ((user, session, int(at) // SPAN_S), offset, at)
            for event, offset, at in zip(part.events, part.offsets, part.times, strict=True)
            if (session := event.session_id) is not None
            and (user := event.user_id) is not None
            and at > oldest
        ]
        places = {place for place, _, _ in seen}
        cache = self._load(partition, places)
        # Also rows that do not change: RocksDB may be ahead of the changelog.
        self._dirty[partition] |= places
        for place, offset, at in seen:
            row = cache[place][1]
            if offset <= row.offset:
                continue
            row.offset = offset
            microsecond, second, seconds = round(at * MICROSECONDS), int(at) % HOUR, row.seconds
            row.last_us = max(row.last_us, microsecond)
            if microsecond < row.first_us or not seconds:
                row.first_us = microsecond
            seconds[second] = seconds.get(second, 0) + 1

    @property
    def waiting(self) -> int:
        """Rows that wait for a flush."""
        return sum(map(len, self._dirty.values()))

    def _load(self, partition: int, places: Iterable[Place]) -> dict[Place, tuple[bytes, Row]]:
        cache = self._cache[partition]
        missing = [place for place in places if place not in cache]
        if missing:
            keys = [row_key(place) for place in missing]
            values = self.db(partition).get(keys)
            for place, key, value in zip(missing, keys, values, strict=True):
                cache[place] = key, Row(-1, 0, 0, {}) if value is None else _decode(value)
        return cache

    async def flush_partition(self, partition: int) -> None:
        """Write what changed; the batches that it came from are acknowledged afterwards."""
        async with self._lock:
            cache = self._cache[partition]
            changed = [cache[place] for place in self._dirty.pop(partition, ())]
            rows = sorted([(key, _encode(row)) for key, row in changed])
            for begin in range(0, len(rows), FLUSH_CHUNK):
                await self.write(partition, rows[begin : begin + FLUSH_CHUNK])
                await asyncio.sleep(0)  # queries get their turn
            if len(cache) > CACHE_MAX:
                self._cache[partition] = {at: cache[at] for at in self._dirty[partition]}

    def merge_values(self, old: bytes, new: bytes) -> bytes:
        """The value that has read further: a zombie's late write lowers nothing."""
        return new if _decode(new).offset > _decode(old).offset else old

    async def on_rebalance(self, *args: Any, **kwargs: Any) -> None:
        """As BatchTable; a flush that has begun ends first."""
        async with self._lock:
            await super().on_rebalance(*args, **kwargs)

    def forget(self) -> None:
        """Drop what is not flushed: it will be read again."""
        super().forget()
        self._cache.clear()
        self._dirty.clear()

    async def expire(self, partitions: Iterable[int]) -> int:
        """Delete hours past the retention; return how many rows."""
        dropped = 0
        end = int(time()) - RETENTION_S - HOUR
        bounds = _HEAD.pack(0, 0), _HEAD.pack(end - end % HOUR + HOUR, 0)
        for partition in partitions:
            while keys := self.expired(partition, bounds, EXPIRE_CHUNK):
                for place in map(_place_of, keys):
                    self._cache[partition].pop(place, None)
                await self.write(partition, [(key, None) for key in keys])
                dropped += len(keys)
        return dropped

    # -- reading --------------------------------------------------------------------------

    def read(self, user_id: str, begin: int, end: int, at: int = 0) -> dict[str, Session]:  # noqa: ARG002
        """Return {session: (first and last microsecond, events)} of the seconds [begin, end).

        Only what the partitions of this worker know: the parts of a session are put together with
        merged(). Seconds are kept as long as hours, so `at` decides nothing. Where the range cuts
        a part of a session, its first and last moment are known to the second.
        """
        found: dict[str, Session] = {}
        for partition in self._partitions_owned():
            db = self.db(partition)
            for hour in range(begin - begin % HOUR, end, HOUR):
                prefix = _user_prefix(hour, user_id)
                for key, value in scan_prefix(db, prefix):
                    session = key[len(prefix) : -_SPAN.size].decode()
                    part = _within(_decode(value), hour, begin, end)
                    if part is not None:
                        found[session] = merged(found.get(session), part)
        return found


def merged(one: Session | None, other: Session) -> Session:
    """Return what two parts of a session are together."""
    if one is None:
        return other
    return min(one[0], other[0]), max(one[1], other[1]), one[2] + other[2]


def _within(row: Row, hour: int, begin: int, end: int) -> Session | None:
    """Return what a row holds of the seconds [begin, end); None: nothing."""
    seconds = [second for second in row.seconds if begin <= hour + second < end]
    if not seconds:
        return None
    events = sum(row.seconds[second] for second in seconds)
    first = max(row.first_us, (hour + min(seconds)) * MICROSECONDS)
    last = row.last_us
    if last >= (hour + max(seconds) + 1) * MICROSECONDS:  # it is cut off
        last = max(first, (hour + max(seconds)) * MICROSECONDS)
    return first, last, events


def _user_prefix(hour: int, user: str) -> bytes:
    """Return what the rows of a user in an hour begin with."""
    name = user.encode()
    return _HEAD.pack(hour, len(name)) + name


def row_key(place: Place) -> bytes:
    """Return the table key of a row."""
    user, session, span = place
    start = span * SPAN_S
    within = start % HOUR
    return _user_prefix(start - within, user) + session.encode() + _SPAN.pack(within // SPAN_S)


def _place_of(key: bytes) -> Place:
    """Return what row_key() was made of."""
    hour, size = _HEAD.unpack_from(key)
    user = _HEAD.size + size
    span = (hour + key[-1] * SPAN_S) // SPAN_S
    return key[_HEAD.size : user].decode(), key[user : -_SPAN.size].decode(), span
