"""Keeping a sink equal to a table: what changed, and everything where that is not enough.

The sinks hold absolute counts and only raise them. Each remembers per partition of the topic
`counts` the position that it includes, so a new owner of the partition knows whether it must write
all rows, or only what changes from now on.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from typing import Generic, Protocol, TypeVar

from app.errors import UnavailableError
from app.stores.outages import Outage

log = logging.getLogger(__name__)

HOUR_S = 3600
AFTER_HOUR_S = 1.0  # events of the hour's last second are in the tables by then
REST_FACTOR = 4  # at most a fifth of the time goes into one sink
REST_MAX_S = 60.0

Row = TypeVar("Row")
Row_contra = TypeVar("Row_contra", contravariant=True)


class Owned(Protocol):
    """Partitions of the topic that a table is made from."""

    def partitions(self) -> Collection[int]:
        """Return the partitions that this worker owns and has recovered, right now."""

    def started_at(self, partition: int) -> int:
        """Return the offset that this worker began to read from since it got the partition."""


class RowSource(Protocol[Row]):
    """A table's rows by partition of its topic, as absolute values."""

    @property
    def owned(self) -> Owned:
        """The partitions that it has rows of."""

    def take(self, partition: int) -> tuple[Iterator[Sequence[Row]], int]:
        """Return the rows merged since the last take, in chunks, and the position they include.

        Also rows whose value is the same as before: they may be missing in the sink. A chunk is
        made when it is asked for, so that the worker does not stand still for all of them.
        """

    def put_back(self, partition: int, rows: Sequence[Row]) -> None:
        """Let the next take return rows again that could not be written."""

    def every(self, partition: int) -> Iterator[Sequence[Row]]:
        """Yield all rows of a partition in chunks, while it is read on."""


class Sink(Protocol[Row_contra]):
    """Where the rows go; UnavailableError from either method when it is away."""

    async def position(self, partition: int) -> int | None:
        """Return the offset of `counts` that it includes; None: not known, perhaps empty."""

    async def write(self, partition: int, rows: Sequence[Row_contra], position: int | None) -> bool:
        """Write rows; position: what they include, None while more of the same refresh follow.

        Return False when it lost what was written before.
        """

    async def close(self) -> None:
        """Disconnect."""


class Refresher(Generic[Row]):
    """Brings a sink up to date, again and again; what cannot be written waits for the next time."""

    def __init__(self, name: str, sink: Sink[Row], source: RowSource[Row]) -> None:
        self._name, self._sink, self._source = name, sink, source
        self._outage = Outage(name)
        self._written: dict[int, int] = {}

    async def cycle(self) -> bool:
        """Bring all partitions up to date; return whether the sink took everything."""
        partitions = list(self._source.owned.partitions())
        self._written = {p: at for p, at in self._written.items() if p in partitions}
        complete = True
        try:
            for partition in partitions:
                complete &= await self._refresh(partition)
        except UnavailableError as exc:
            self._outage.goes_on(exc)
            return False
        if partitions:
            self._outage.ends()
        return complete

    async def close(self) -> None:
        """Disconnect from the sink."""
        await self._sink.close()

    async def _refresh(self, partition: int) -> bool:
        source, sink = self._source, self._sink
        needed = max(source.owned.started_at(partition), self._written.get(partition, 0))
        position = await sink.position(partition)
        if position is None or position < needed:
            log.info("%s: writing all of partition %d", self._name, partition)
            for chunk in source.every(partition):
                if not await sink.write(partition, chunk, None):
                    return False
                if partition not in source.owned.partitions():
                    return True  # its new owner goes on
        chunks, included = source.take(partition)
        # Nothing merged yet: the recovered table includes what was read before the start.
        included = max(included, needed)
        first = next(chunks, None)
        if first is None and included == position:
            return True
        return await self._write_changes(partition, first or (), chunks, included)

    async def _write_changes(
        self, partition: int, chunk: Sequence[Row], chunks: Iterator[Sequence[Row]], included: int
    ) -> bool:
        """Write a chunk and those that follow; what fails is put back."""
        source, following, done = self._source, None, False
        try:
            # A chunk is read from the table only while the table is ours.
            while not done and partition in source.owned.partitions():
                following = next(chunks, None)
                position = included if following is None else None
                if not await self._sink.write(partition, chunk, position):
                    break
                done = following is None
                chunk = following or ()
        finally:
            if done:
                self._written[partition] = included
            elif partition in source.owned.partitions():
                for unwritten in (chunk, following or (), *chunks):
                    source.put_back(partition, unwritten)
        return done


def rest_s(interval_s: float, took_s: float) -> float:
    """Return the seconds until the next cycle, longer after one that took long.

    A refresh shares its worker with the counting; and a sink that is away is asked less often.
    """
    return max(interval_s, min(took_s * REST_FACTOR, REST_MAX_S))


def until_hour_ends_s(now: float) -> float:
    """Return the seconds from now, in seconds since 1970, until an hour is over and counted."""
    return HOUR_S - (now - AFTER_HOUR_S) % HOUR_S
