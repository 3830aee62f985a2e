"""Events of the past from the table event, as the batches that a count worker takes.

A row has the offset of its record, so what was rejected then is a gap, as are transaction markers.
It is not decoded again: it may have come in a shorter form than the canonical one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

import asyncpg
import msgspec

from app.events.batches import Decoded, Named, Slice
from app.events.event import Event, to_ms
from app.events.records import Batch
from app.stores.connect import connect_session
from app.stores.sql import load_queries

BATCH_ROWS = 5000
CLOSE_TIMEOUT_S = 5.0

_properties = msgspec.json.Decoder(dict[str, Any]).decode


class PastRecord(NamedTuple):
    """What the worker looks at of a record; timestamp: ms since 1970."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int = 0


class PastBatch(Batch):
    """Records that are decoded already."""

    __slots__ = ("decoded",)

    decoded: Decoded

    def __getitem__(self, at: Any) -> Any:
        """Return a record, or some as a batch that is decoded, too."""
        found: Any = super().__getitem__(at)
        if isinstance(at, slice):
            found = PastBatch(found)
            first, last = (found[0].offset, found[-1].offset) if found else (0, -1)
            valid, named = self.decoded.valid, self.decoded.named
            found.decoded = Decoded(
                valid.between(first - 1, last),
                [],
                named.between(first - 1, last),
                duplicates=self.decoded.duplicates,
            )
        return found


class PastReader:
    """Reads one partition of `events` after the other. Use it in one event loop, under its lock.

    ends: offset up to which event has a partition. positions: where the next batch begins.
    """

    def __init__(self, dsn: str, topic: str) -> None:
        """topic: the name of `events`."""
        self.topic = topic
        self.lock = asyncio.Lock()
        self.ends: dict[int, int] = {}
        self.positions: dict[int, int] = {}
        self._dsn = dsn
        self._sql = load_queries()
        self._connection: asyncpg.Connection | None = None
        self._cursor: tuple[int, Any] | None = None

    async def open(self) -> None:
        """Begin anew, with what is stored by now; raise OSError or asyncpg.PostgresError."""
        await self.close()
        self._connection = await connect_session(
            self._dsn, "event-counter rebuild", work_mem="64MB"
        )
        found = await self._connection.fetch(self._sql["past.stored"], self.topic)
        self.ends = {row["partition"]: row["next_offset"] for row in found}
        self.positions = {}

    async def close(self) -> None:
        """Disconnect."""
        connection, self._connection, self._cursor = self._connection, None, None
        if connection is not None:
            await connection.close(timeout=CLOSE_TIMEOUT_S)

    def has(self, partition: int) -> bool:
        """Whether a partition is not read to its end."""
        end = self.ends.get(partition, 0)
        return self.positions.get(partition, end) < end

    async def next(self, partition: int, gate: int) -> PastBatch:
        """Return the next batch of a partition that has one; perhaps without records."""
        if self._cursor is None or self._cursor[0] != partition:
            self._cursor = partition, await self._query(partition)
        rows = await self._cursor[1].fetch(BATCH_ROWS)
        batch = past_batch(self.topic, partition, rows)
        batch.before, batch.gate = self.positions[partition], gate
        end = self.ends[partition]
        batch.after = batch[-1].offset + 1 if len(rows) == BATCH_ROWS else end
        batch.lag = end - batch.after
        self.positions[partition] = batch.after
        return batch

    async def _query(self, partition: int) -> Any:
        connection = self._connection
        assert connection is not None  # noqa: S101 - open() made it
        if connection.is_in_transaction():
            await connection.execute("rollback")
        await connection.execute("begin read only")
        args = partition, self.positions[partition], self.ends[partition]
        return await connection.cursor(self._sql["past.events"], *args)


def event_of(columns: Sequence[Any]) -> Event:
    """Return a row of event, in the order of the fields of Event; properties: JSON."""
    *fields, properties = columns
    fields.append(None if properties is None else _properties(properties))
    return Event(*fields)


def past_batch(topic: str, partition: int, rows: Sequence[Any]) -> PastBatch:
    """Return rows of event, by offset, as a batch; the caller sets its positions."""
    batch = PastBatch()
    events, offsets, times, received = [], [], [], []
    ids, id_offsets, id_times = [], [], []
    duplicates = set()
    for row in rows:
        offset, recorded, again, *columns = row
        recorded_ms, event = to_ms(recorded), event_of(columns)
        events.append(event)
        offsets.append(offset)
        times.append(event.timestamp.timestamp())  # type: ignore[union-attr]
        received.append(event.received_at.timestamp())  # type: ignore[union-attr]
        batch.append(PastRecord(topic, partition, offset, recorded_ms))
        if again:
            duplicates.add(offset)
        if event.message_id:  # made of the uuid where it must; an empty one was, once
            ids.append(event.message_id)
            id_offsets.append(offset)
            id_times.append(recorded_ms)
    named = Named(ids, id_offsets, id_times)
    valid = Slice(events, offsets, times, received)
    batch.decoded = Decoded(valid, [], named, duplicates=duplicates)
    return batch
