"""Keeping a sink equal to a table: what changed, and everything where that is not enough.

The sinks hold absolute counts and only raise them. Each remembers per partition of the topic
`counts` the position that it includes, so a new owner of the partition knows whether it must write
all rows, or only what changes from now on.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from typing import Generic, Protocol, TypeVar

from app.errors import UnavailableError
from app.stores.outages import Outage

log = logging.getLogger(__name__)

HOUR_S = 3600
AFTER_HOUR_S = 1.0  # events of the hour's last second are in the tables by then
REST_FACTOR = 4  # at most a fifth of the time goes into one sink
REST_MAX_S = 60.0
LOOK_EVERY_S = 1.0  # a store is asked whether it is there, where nothing is written for so long

Row = TypeVar("Row")
Row_co = TypeVar("Row_co", covariant=True)
Row_contra = TypeVar("Row_contra", contravariant=True)


class Owned(Protocol):
    """Partitions of the topic that a table is made from."""

    def partitions(self) -> Collection[int]:
        """Return the partitions that this worker owns and has recovered, right now."""

    def has_none(self) -> bool:
        """Whether no partition is this worker's. False in a rebalance, which may bring some."""

    def started_at(self, partition: int) -> int:
        """Return the offset that this worker began to read from since it got the partition."""

    @property
    def generation(self) -> int:
        """A number that changes whenever partitions begin to move."""


class RowSource(Protocol[Row_co]):
    """A table's rows by partition of its topic, as absolute values."""

    @property
    def owned(self) -> Owned:
        """The partitions that it has rows of."""

    def take(self, partition: int) -> tuple[Iterator[Sequence[Row_co]], int]:
        """Return the rows merged since the last take, in chunks, and the position they include.

        Also rows whose value is the same as before: they may be missing in the sink. A chunk is
        made when it is asked for, so that the worker does not stand still for all of them.
        """

    async def note_between(self, partition: int, begin: int, end: int) -> bool:
        """Have the next take return what the topic says of the offsets [begin, end), too.

        Return False where it does not say all of it any more; raise UnavailableError.
        """

    def every(self, partition: int) -> Iterator[Sequence[Row_co]]:
        """Yield all rows of a partition in chunks, while it is read on."""


class Sink(Protocol[Row_contra]):
    """Where the rows go; UnavailableError from either method when it is away."""

    async def position(self, partition: int) -> int | None:
        """Return the offset of `counts` that it includes; None: not known, perhaps empty."""

    def is_as_left(self, partition: int) -> bool:
        """Whether position() has found what the last write left, and nothing was lost since."""

    async def write(self, partition: int, rows: Sequence[Row_contra], position: int | None) -> bool:
        """Write rows; position: what they include, None while more of the same refresh follow.

        Return False when it is not as it was left.
        """

    async def close(self) -> None:
        """Disconnect."""


class _Work(Generic[Row]):
    """Rows on their way to a sink, a chunk at a time; what cannot be written waits here.

    included: the position that the sink has with the last of them; None: that of all rows, which
    have none, as what changes meanwhile follows.
    """

    def __init__(
        self, generation: int, chunks: Iterator[Sequence[Row]], included: int | None
    ) -> None:
        self.generation, self.included = generation, included
        self._chunks = chunks
        self.chunk = next(chunks, None)
        self.following = next(chunks, None)

    def next(self) -> None:
        """Go on to the next chunk."""
        self.chunk, self.following = self.following, next(self._chunks, None)


class Refresher(Generic[Row]):
    """Brings a sink up to date, again and again; what cannot be written waits for the next time."""

    def __init__(self, name: str, sink: Sink[Row], source: RowSource[Row]) -> None:
        self._name, self._sink, self._source = name, sink, source
        self._outage = Outage(name)
        self._failed = False
        self._written: dict[int, tuple[int, int]] = {}  # by partition: generation, position
        self._works: dict[int, _Work[Row]] = {}

    async def cycle(self) -> bool:
        """Bring all partitions up to date; return whether the sink took everything."""
        partitions = list(self._source.owned.partitions())
        complete = True
        try:
            for partition in partitions:
                complete &= await self._refresh(partition)
        except UnavailableError as exc:
            self._failed = True
            self._outage.goes_on(exc)
            return False
        if partitions:
            self._failed = False
            self._outage.ends()
        else:
            self._look_whether_idle()
        return complete

    async def look(self, ask: Callable[[], Awaitable[None]]) -> None:
        """Note between two cycles whether the sink answers.

        ask: raises UnavailableError. What a cycle could not write, only a cycle ends: a store may
        answer, and yet take nothing.
        """
        if not self._source.owned.partitions():
            self._look_whether_idle()
            return
        try:
            await ask()
        except UnavailableError as exc:
            self._outage.goes_on(exc)
        else:
            if not self._failed:
                self._outage.ends()

    async def close(self) -> None:
        """Disconnect from the sink."""
        await self._sink.close()

    def _look_whether_idle(self) -> None:
        """End an outage that kept this worker from nothing any more."""
        if self._source.owned.has_none():
            self._failed = False
            self._outage.leaves()

    def _is_ours(self, partition: int, generation: int) -> bool:
        """Whether it is, and has been all the while since a generation; else all begins anew.

        A rebalance that gives it back forgets what changed before.
        """
        owned = self._source.owned
        return owned.generation == generation and partition in owned.partitions()

    async def _refresh(self, partition: int) -> bool:
        generation = self._source.owned.generation
        position = await self._sink.position(partition)
        if not self._is_ours(partition, generation):
            return False
        work = self._works.pop(partition, None)
        if work and (work.generation != generation or not self._sink.is_as_left(partition)):
            self._give_up(partition, work)
            work = None
        if work is None and position is not None:
            known = await self._catch_up(partition, generation, position)
            if known is None:
                return False
            position = position if known else None
        if work is None and position is None:
            log.info("%s: writing all of partition %d", self._name, partition)
            every = self._source.every(partition)
            work = _Work(generation, every, None)
        if work and not await self._write(partition, work):
            return False
        if work and work.included is not None:
            return True  # what changed meanwhile is for the next cycle
        return await self._write_changes(partition, generation, position)

    def _give_up(self, partition: int, work: _Work[Row]) -> None:
        """Have the next refresh write what the sink lost, and all that waited to be written."""
        before, written = self._written.get(partition, (-1, 0))
        written = written if before == work.generation else 0
        if work.included is not None:
            self._written[partition] = work.generation, max(written, work.included)

    async def _catch_up(self, partition: int, generation: int, position: int) -> bool | None:
        """Note what the sink lacks besides the changes; False: it is not known, None: not ours."""
        source = self._source
        needed = source.owned.started_at(partition)
        before, written = self._written.get(partition, (-1, 0))
        if before == generation:
            needed = max(needed, written)
        if position >= needed:
            return True
        log.info("%s: partition %d from %d to %d again", self._name, partition, position, needed)
        known = await source.note_between(partition, position, needed)
        return known if self._is_ours(partition, generation) else None

    async def _write_changes(self, partition: int, generation: int, position: int | None) -> bool:
        chunks, included = self._source.take(partition)
        # Nothing merged yet: the recovered table includes what was read before the start.
        before, written = self._written.get(partition, (-1, 0))
        needed = max(included, self._source.owned.started_at(partition))
        included = max(needed, written) if before == generation else needed
        work = _Work(generation, chunks, included)
        if work.chunk is None and included == position:
            return True
        return await self._write(partition, work)

    async def _write(self, partition: int, work: _Work[Row]) -> bool:
        """Write what is left of it; what fails waits for the next cycle."""
        self._works[partition] = work
        while work.chunk is not None or work.included is not None:
            position = work.included if work.following is None else None
            if not await self._sink.write(partition, work.chunk or (), position):
                self._give_up(partition, self._works.pop(partition))
                return False
            if not self._is_ours(partition, work.generation):
                del self._works[partition]
                return work.following is None and work.included is not None
            if work.following is None:
                break
            work.next()
        del self._works[partition]
        if work.included is not None:
            self._written[partition] = work.generation, work.included
        return True


def rest_s(interval_s: float, took_s: float) -> float:
    """Return the seconds until the next cycle, longer after one that took long.

    A refresh shares its worker with the counting; and a sink that is away is asked less often.
    """
    return max(interval_s, min(took_s * REST_FACTOR, REST_MAX_S))


def until_hour_ends_s(now: float) -> float:
    """Return the seconds from now, in seconds since 1970, until an hour is over and counted."""
    return HOUR_S - (now - AFTER_HOUR_S) % HOUR_S
