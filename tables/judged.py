"""What the rules about users remember, beside the counts: see app/counting/rules.py.

Rows of page views: b"v", second, offsets of the first and the last view in it; value: the views of
that second that were newly accepted in one flush, [(user, microsecond, offset)]. Between these two
offsets the verdicts are always the same, so a row of the same key has the same value, and what is
written twice, late or out of order changes nothing. Rows of clicks: b"c", user; value: positions
of the partition, and how many clicks lie below each.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import msgspec

from app.counting.rules import (
    BOT_MEMORY,
    Accepted,
    Clicks,
    Memory,
    Needs,
    View,
    judge,
    needs,
    short,
)
from app.events.batches import Slice, Verdicts
from tables.record_clock import RecordClock
from tables.scans import scan_prefix
from tables.write_behind import WriteBehindTable

VIEWS, CLICKS = b"v", b"c"
CHUNK = struct.Struct(">cIQQ")  # VIEWS, second, offsets of the first and the last view
SECOND = struct.Struct(">cI")
CHUNK_BYTES = 200_000  # of a value: a record batch holds 500,000
CACHE_MAX = 100_000  # page views and seconds of a partition kept in memory, 28 MB
TRIM_EVERY = 20_000  # page views, and users of clicks; finding out what is kept takes a while
USERS_MAX = 100_000  # users whose clicks are kept in memory between flushes
MARGIN_S = 3600  # how far the records of a partition may lie out of their order in time
MICROSECONDS = 1_000_000
NO_LIMIT = 1 << 62  # page views; those that are stored were within it

_encode = msgspec.msgpack.Encoder().encode
_decode_views = msgspec.msgpack.Decoder(list[tuple[str, int, int]]).decode
_decode_clicks = msgspec.msgpack.Decoder(tuple[int | list[int], list[int]]).decode


class JudgedTable(WriteBehindTable):
    """(second, offsets): page views accepted; user: ad clicks; per partition of `events`."""

    def __init__(
        self, app: Any, *, bot_limit: int, committed: Callable[[int], int], **kwargs: Any
    ) -> None:
        """bot_limit: page views that count. committed: partition -> position of the group."""
        super().__init__(app, **kwargs)
        self._limit, self._committed = bot_limit, committed
        self.memory: defaultdict[int, Memory] = defaultdict(Memory)
        self._clock = RecordClock()
        self._untrimmed: defaultdict[int, int] = defaultdict(int)

    def judge(self, partition: int, part: Slice) -> Verdicts:
        """Sort the events of a batch, as app.counting.rules.judge()."""
        memory, found = self.memory[partition], needs(part)
        self._load(partition, memory, found)
        return judge(part, memory, self._limit, found)

    def is_bots(self, partition: int, part: Slice) -> bool | None:
        """Return whether one event, counted by now, is a bot's; None: forgotten by now."""
        if not (found := needs(part)).views:
            return False
        (second,) = found.views
        accepted = self.memory[partition].views.get(second)
        if accepted is None:
            accepted = self._stored(self.db(partition), second)
        if accepted.has((short(part.users[0] or ""), part.times[0], part.offsets[0])):
            return False
        return None if second < self._expired_before(partition) else True

    @property
    def waiting(self) -> int:
        """How much waits for a flush."""
        return sum(
            sum(map(len, memory.fresh.values())) + len(memory.clicked)
            for memory in self.memory.values()
        )

    def _load(self, partition: int, memory: Memory, found: Needs) -> None:
        """Bring in what was remembered, the seconds last used to the end."""
        views, db = memory.views, self.db(partition)
        self._untrimmed[partition] += sum(map(len, found.views.values())) + len(found.users)
        for second in found.views:
            known = views.pop(second, None)
            views[second] = self._stored(db, second) if known is None else known
        users = [user for user in found.users if user not in memory.clicks]
        values = db.get([_clicks_key(user) for user in users]) if users else []
        for user, value in zip(users, values, strict=True):
            memory.clicks[user] = _clicks_of(value)

    def _stored(self, db: Any, second: int) -> Accepted:
        """Return the accepted views of a second, as they were flushed."""
        accepted = Accepted()
        for _, value in scan_prefix(db, SECOND.pack(VIEWS, second)):
            for user, microsecond, offset in _decode_views(value):
                # The quotient that datetime.timestamp() rounds, so the same float.
                at = (second * MICROSECONDS + microsecond) / MICROSECONDS
                accepted.add((short(user), at, offset), NO_LIMIT)
        return accepted

    # -- writing --------------------------------------------------------------------------

    def passed(self, partition: int, position: int, record_s: float) -> None:
        """Note the position behind a batch, and the time of its last record, s since 1970."""
        self._clock.passed(partition, position, record_s)

    def gathered(self) -> Collection[int]:
        """Return the partitions with views or clicks that are not written."""
        return [part for part, one in self.memory.items() if one.fresh or one.clicked]

    async def write_gathered(self, partitions: Collection[int]) -> None:
        """Write what is new; the batches that it came from are acknowledged afterwards."""
        for partition in partitions:
            memory = self.memory[partition]
            if rows := self._take_rows(partition, memory):
                await self.write(partition, sorted(rows))
            if self._untrimmed[partition] > TRIM_EVERY:
                self._untrimmed[partition] = 0
                _trim(memory, CACHE_MAX, USERS_MAX)

    def shrink(self) -> None:
        """Forget all that is written."""
        for memory in self.memory.values():
            _trim(memory, 0, 0)

    def _take_rows(self, partition: int, memory: Memory) -> list[tuple[bytes, bytes | None]]:
        fresh, memory.fresh = memory.fresh, {}
        clicked, memory.clicked = memory.clicked, set()
        rows: list[tuple[bytes, bytes | None]] = []
        if clicked:
            committed = self._committed(partition)
            for user in clicked:
                (clicks := memory.clicks[user]).settle(committed)
                rows.append(clicks_row(user, clicks))
        for second, views in fresh.items():
            if views:
                rows += _chunks(second, views)
        return rows

    def check_row(self, key: bytes, value: bytes) -> None:
        """As BatchTable."""
        if key[:1] == CLICKS:
            key.decode()
            clicks = _clicks_of(value)
            is_row = len(clicks.positions) == len(clicks.counts)
        else:
            is_row = CHUNK.unpack(key)[0] == VIEWS and bool(_decode_views(value))
        if not is_row:
            raise ValueError("neither views nor clicks")

    def merge_values(self, old: bytes, new: bytes) -> bytes:
        """What both know of a user's clicks; rows of views are the same."""
        if old == new or not (_is_clicks(old) and _is_clicks(new)):
            return new
        return _encode_clicks(_merged(_clicks_of(old), _clicks_of(new)))

    def forget(self) -> None:
        """Drop what is not flushed: it will be judged again."""
        super().forget()
        self._clock.forget()
        self.memory.clear()
        self._untrimmed.clear()

    def expired(self, partition: int, now: float) -> Iterable[tuple[bytes, bytes]]:  # noqa: ARG002
        """Return where views lie that no page view can be compared with any more, and forget them.

        That is judged by the time of the records up to the committed position, not by the clock: a
        worker that was down for days judges the events of those days as it would have done then.
        """
        if (end := self._expired_before(partition)) <= 0:
            return ()
        memory = self.memory[partition]
        for second in [at for at in memory.views if at < end and not memory.fresh.get(at)]:
            del memory.views[second]
        return ((SECOND.pack(VIEWS, 0), SECOND.pack(VIEWS, end)),)

    def _expired_before(self, partition: int) -> int:
        """Return the second before which nothing is compared any more; 0: not known yet."""
        reached = self._clock.reached(partition, self._committed(partition))
        return int(reached) - BOT_MEMORY - MARGIN_S


def _trim(memory: Memory, views_max: int, users_max: int) -> None:
    """Forget the seconds that were not asked for lately, and users, above what is kept of each."""
    views = memory.views
    kept = len(views) + sum(map(len, views.values()))
    for second in list(views):
        if kept <= views_max:
            break
        if second in memory.fresh:
            continue  # not written yet
        kept -= len(views.pop(second)) + 1
    if len(memory.clicks) > users_max:
        memory.clicks = {user: memory.clicks[user] for user in memory.clicked}


def _chunks(second: int, views: list[View]) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield the rows of the accepted views of a second, of bounded size."""
    packed = [
        (user, 0 if at == second else round((at - second) * MICROSECONDS), offset)
        for user, at, offset in views
    ]
    waiting = [packed]
    while waiting:
        some = waiting.pop()
        value = _encode(some)
        if len(value) > CHUNK_BYTES and len(some) > 1:
            half = len(some) // 2
            waiting += [some[half:], some[:half]]
        else:
            yield CHUNK.pack(VIEWS, second, some[0][2], some[-1][2]), value


def _clicks_of(value: bytes | None) -> Clicks:
    """Return the clicks in a row."""
    if value is None:
        return Clicks()
    first, second = _decode_clicks(value)
    if isinstance(first, list):
        return Clicks(first, second)
    # As versions before 0.2 wrote them: clicks that were past, and the offsets of those after them.
    counts = list(range(first, first + len(second) + 1))
    return Clicks([0, *(offset + 1 for offset in second)], counts)


def _is_clicks(value: bytes) -> bool:
    """Whether a value is of a row of clicks; one of views begins with a view: text first."""
    kind: list[Any] = msgspec.msgpack.decode(value)
    first = kind[0] if kind else ""
    return isinstance(first, int) or (
        isinstance(first, list) and all(isinstance(part, int) for part in first)
    )


def _merged(one: Clicks, other: Clicks) -> Clicks:
    """Return what both know."""
    facts = dict(zip(one.positions, one.counts, strict=True))
    facts.update(zip(other.positions, other.counts, strict=True))
    return Clicks(sorted(facts), [facts[position] for position in sorted(facts)])


def clicks_row(user: str, clicks: Clicks) -> tuple[bytes, bytes]:
    """Return key and value of the clicks of a user."""
    return _clicks_key(user), _encode_clicks(clicks)


def _clicks_key(user: str) -> bytes:
    return CLICKS + user.encode()


def _encode_clicks(clicks: Clicks) -> bytes:
    return _encode((clicks.positions, clicks.counts))
