"""Sessions of users: what one partition of `events` saw of them.

A row holds events of a user in an hour that follow each other in the partition. Key: start of the
hour, user, source offset of the first; value: {session: [offset, microsecond of the hour, offset,
...]}, offsets counted from the first. What a replay begins anew lies in several rows then, and is
one event: reading goes by the offsets. Rows of one key are beginnings of each other, the longer one
is right. So a flush reads nothing and writes what is new, and a little of what is not; and the hour
comes first, so that what expires is one range (docs/internals/decisions/sessions.md).
"""

from __future__ import annotations

import asyncio
import struct
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np

from app.counting.spec import DAY, HOUR
from app.events.batches import Slice
from tables.scans import scan_prefix
from tables.turns import Turns, nothing
from tables.write_behind import WriteBehindTable

RETENTION_S = 62 * DAY
ROW_EVENTS = 32  # with so many a row is done: it is written whole at each flush
ROW_BYTES = 200_000  # of a value, about: a record batch holds 500,000
OPEN_MAX = 20_000  # rows of a partition that may be added to after a flush, 15 MB
EVENTS_A_ROW = 4  # waiting events take 80 bytes each, rows of the partials 200-400
FLUSH_CHUNK = 10_000  # rows, 0.05 s of work
OLDEST = 0x60000000  # 2021, no row is older; Faust keeps an offset under a key below
MICROSECONDS = 1_000_000
HOUR_US = HOUR * MICROSECONDS

Session = tuple[int, int, int]  # first and last microsecond since 1970, events
Events = dict[str, list[int]]  # session -> offset from the first, microsecond of the hour, ...

_HEAD = struct.Struct(">IH")  # start of the hour, length of the user
_FIRST = struct.Struct(">Q")
_key_of = attrgetter("key")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Events).decode


class SessionRow(msgspec.Struct, gc=False):
    """A row in memory. first, last: source offsets. waits: for a flush. done: is long enough."""

    key: bytes
    first: int
    last: int
    events: Events
    waits: bool = False
    done: bool = False


class Sessions(WriteBehindTable):
    """(hour, user, first offset): events by session; per partition of `events`."""

    def __init__(self, app: Any, *, owned: Callable[[], Iterable[int]], **kwargs: Any) -> None:
        """owned: partitions of `events` that are ours and recovered."""
        super().__init__(app, **kwargs)
        self._partitions_owned = owned
        # By hours since 1970 and user: what the next event is added to.
        self.opened: defaultdict[int, dict[int, dict[str, SessionRow]]] = defaultdict(dict)
        self._dirty: defaultdict[int, list[SessionRow]] = defaultdict(list)
        self._events_waiting: defaultdict[int, int] = defaultdict(int)
        self._begun: defaultdict[int, int] = defaultdict(int)  # rows, since they were last few

    def note(self, partition: int, part: Slice, now: float) -> None:
        """Add the events of a batch that have a user and a session; now: s since 1970."""
        oldest = now - RETENTION_S
        opened, dirty = self.opened[partition], self._dirty[partition]
        hour_before, rows = -1, dict[str, SessionRow]()
        for session, user, offset, hour, microsecond in _by_hour(part, oldest):
            if session is None or user is None or hour < 0:
                continue
            if hour != hour_before:
                hour_before, rows = hour, opened.setdefault(hour, {})
            row = rows.get(user)
            if row is None or offset < row.first or (row.done and not row.waits):
                row = rows[user] = self._begin(partition, hour, user, offset)
            if not row.waits:  # also where nothing changes: RocksDB may be ahead of the changelog
                row.waits = True
                dirty.append(row)
            if offset <= row.last:
                continue
            row.last = offset
            events = row.events.get(session)
            if events is None:
                row.events[session] = [offset - row.first, microsecond]
            else:
                events += (offset - row.first, microsecond)
        self._events_waiting[partition] += len(part.events)

    def _begin(self, partition: int, hour: int, user: str, offset: int) -> SessionRow:
        """Return a row that begins with an event; after a crash it may be there, and longer."""
        key = row_key(hour * HOUR, user, offset)
        value = self.db(partition).get(key)
        events: Events = {} if value is None else _decode(value)
        last = max((found[-2] for found in events.values()), default=-1)
        self._begun[partition] += 1
        return SessionRow(key, offset, offset + last, events)

    @property
    def waiting(self) -> int:
        """What waits for a flush, in rows of the partials."""
        rows = sum(map(len, self._dirty.values()))
        return rows + sum(self._events_waiting.values()) // EVENTS_A_ROW

    def gathered(self) -> Collection[int]:
        """Return the partitions with rows that changed."""
        return [partition for partition, dirty in self._dirty.items() if dirty]

    async def write_gathered(self, partitions: Collection[int]) -> None:
        """Write what changed; the batches that it came from are acknowledged afterwards."""
        for partition in partitions:
            dirty = self._dirty.pop(partition)
            self._events_waiting.pop(partition, None)
            dirty.sort(key=_key_of)
            for begin in range(0, len(dirty), FLUSH_CHUNK):
                rows = [row for one in dirty[begin : begin + FLUSH_CHUNK] for row in _written(one)]
                await self.write(partition, rows)
                await asyncio.sleep(0)  # queries get their turn
            if self._begun[partition] > OPEN_MAX:
                self._close(partition)

    def shrink(self) -> None:
        """Forget all that is written."""
        for partition in list(self.opened):
            self._close(partition)

    def _close(self, partition: int) -> None:
        """Forget the rows that do not wait for a flush."""
        waiting = {
            hour: {user: row for user, row in rows.items() if row.waits}
            for hour, rows in self.opened[partition].items()
        }
        self.opened[partition] = {hour: rows for hour, rows in waiting.items() if rows}
        self._begun[partition] = 0

    def check_row(self, key: bytes, value: bytes) -> None:
        """As BatchTable."""
        hour, size = _HEAD.unpack_from(key)
        if hour < OLDEST or len(key) != _HEAD.size + size + _FIRST.size:
            raise ValueError("no user's hour")
        key[_HEAD.size : -_FIRST.size].decode()
        if any(len(events) % 2 or not events for events in _decode(value).values()):
            raise ValueError("an event without its moment")

    def merge_values(self, old: bytes, new: bytes) -> bytes:
        """The longer one, it goes on where the other ends: a zombie's late write lowers nothing."""
        return new if len(new) > len(old) else old

    def forget(self) -> None:
        """Drop what is not flushed: it will be read again."""
        super().forget()
        for state in (self.opened, self._dirty, self._events_waiting, self._begun):
            state.clear()

    def expired(self, partition: int, now: float) -> Iterable[tuple[bytes, bytes]]:  # noqa: ARG002
        """Return where the hours past the retention lie."""
        end = int(now) - RETENTION_S - HOUR
        end = max(OLDEST, end - end % HOUR + HOUR)  # whatever the clock says
        return ((_HEAD.pack(OLDEST, 0), _HEAD.pack(end, 0)),)

    # -- reading --------------------------------------------------------------------------

    async def read(
        self, user_id: str, begin: int, end: int, check: Callable[[], None] = nothing
    ) -> dict[str, Session]:
        """Return {session: (first and last microsecond, events)} of the seconds [begin, end).

        Only what the partitions of this worker know: the parts of a session are put together with
        merged(). Others have their turn between rows; check: raises where they are not ours then.
        """
        found: dict[str, Session] = {}
        turns = Turns(check)
        for partition in list(self._partitions_owned()):
            db = self.db(partition)
            for hour in range(begin - begin % HOUR, end, HOUR):
                low, high = ((edge - hour) * MICROSECONDS for edge in (begin, end))
                events = await _events_of(db, hour, user_id, turns)
                while events:  # taken apart: to free all of it at once would be a long turn
                    session, seen = events.popitem()
                    moments = [moment for moment in seen.values() if low <= moment < high]
                    if moments:
                        start = hour * MICROSECONDS
                        part = start + min(moments), start + max(moments), len(moments)
                        found[session] = merged(found.get(session), part)
                    await turns.next()
                await turns.next()
        return found


def merged(one: Session | None, other: Session) -> Session:
    """Return what two parts of a session are together."""
    if one is None:
        return other
    return min(one[0], other[0]), max(one[1], other[1]), one[2] + other[2]


async def _events_of(db: Any, hour: int, user: str, turns: Turns) -> dict[str, dict[int, int]]:
    """Return {session: {offset: microsecond of the hour}}, each event once."""
    found: dict[str, dict[int, int]] = {}
    prefix = _user_prefix(hour, user)
    for key, value in scan_prefix(db, prefix):
        (first,) = _FIRST.unpack_from(key, len(prefix))
        for session, events in _decode(value).items():
            seen = found.setdefault(session, {})
            seen.update(zip([first + after for after in events[::2]], events[1::2], strict=True))
        await turns.next()
    return found


def _by_hour(part: Slice, oldest: float) -> Iterator[tuple[str | None, str | None, int, int, int]]:
    """Yield (session, user, offset, hour since 1970, microsecond of it); hour -1: it is too old."""
    moments = np.rint(part.moments * MICROSECONDS).astype(np.int64)
    hours = moments // HOUR_US
    within = moments - hours * HOUR_US
    hours[part.moments <= oldest] = -1
    sessions = [event.session_id for event in part.events]
    columns = sessions, part.users, part.offsets, hours.tolist(), within.tolist()
    return zip(*columns, strict=True)


def _written(row: SessionRow) -> Iterator[tuple[bytes, bytes]]:
    """Yield what is to be written of a row, and note that it does not wait any more."""
    row.waits = False
    value = _encode(row.events)
    if len(value) > ROW_BYTES:
        yield from _pieces(row)
    else:
        yield row.key, value
    if sum(map(len, row.events.values())) >= 2 * ROW_EVENTS or len(value) > ROW_BYTES:
        row.done, row.events = True, {}


def _pieces(row: SessionRow) -> Iterator[tuple[bytes, bytes]]:
    """Yield the rows that a row is cut into which would be too long."""
    flat = sorted(
        (after, session, moment)
        for session, events in row.events.items()
        for after, moment in zip(events[::2], events[1::2], strict=True)
    )
    begin, size, events = 0, 0, dict[str, list[int]]()
    for after, session, moment in flat:
        size += 10 if session in events else len(session.encode()) + 20
        if size > ROW_BYTES and events:
            yield _key_at(row, begin), _encode(events)
            begin, size, events = after, 0, {}
        events.setdefault(session, []).extend((after - begin, moment))
    yield _key_at(row, begin), _encode(events)


def _key_at(row: SessionRow, after: int) -> bytes:
    """Return the key of the part of a row that begins at an offset, counted from its first."""
    return row.key[: -_FIRST.size] + _FIRST.pack(row.first + after)


def _user_prefix(hour: int, user: str) -> bytes:
    """Return what the rows of a user in an hour begin with; hour: its start."""
    name = user.encode()
    return _HEAD.pack(hour, len(name)) + name


def row_key(hour: int, user: str, first: int) -> bytes:
    """Return the table key of a row; hour: its start. first: source offset."""
    return _user_prefix(hour, user) + _FIRST.pack(first)
