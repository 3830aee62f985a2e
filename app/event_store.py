"""Raw events into Postgres, each exactly once: rows and offset in one transaction."""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any

import asyncpg
import msgspec

from app import metrics
from app.decoding import decode
from app.errors import CounterError, RejectedError, UnavailableError
from app.outages import Outage
from app.postgres import TRANSACTION_TIMEOUT_S, Postgres
from app.sql import load_queries
from app.transport.batch import Batch

log = logging.getLogger(__name__)

SINK = "event"
RETRY_FIRST_S = 0.2
RETRY_MAX_S = 2.0  # so that it goes on soon after Postgres is back
NOTHING_STORED = -1

# In the order of the tuples of rows_of().
COLUMNS = (
    *("uuid", "type", "ip", "url", "datetime", "received_at", "user_id", "session_id", "ad_id"),
    *("app_name", "product_id", "category", "value", "properties"),
    *("kafka_partition", "kafka_offset"),
)
POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
POSTGRES_EPOCH_US = 946_684_800_000_000  # us from 1970
MICROSECOND = timedelta(microseconds=1)

_offset = attrgetter("offset")
_json = msgspec.json.Encoder().encode


class RefusedError(CounterError):
    """Postgres takes no row of this kind, however often it is tried: a fault of ours."""

    code, hint = "row_refused", "Please report it; nothing was stored or committed."


class HoleError(CounterError):
    """Records between what is stored and the batch at hand were never given to the store."""

    code, hint = "hole", "Reset the offset of the store's group, see the README."


async def send_times_as_integers(connection: asyncpg.Connection) -> None:
    """Let asyncpg take microseconds since 2000 for a timestamptz, as Postgres stores it.

    Its way from a datetime costs 0.5 us, a third of a row with two; the integer costs 0.2.
    """
    await connection.set_builtin_type_codec(
        "timestamptz", schema="pg_catalog", codec_name="int8", format="binary"
    )


class EventStore:
    """Stores batches of the topic events; one transaction for each.

    The row of a partition in sink_offsets is locked, read and moved in the transaction that copies
    the rows. So a batch that comes twice, in part or late, or to two workers at once, or whose
    commit nobody saw, is stored once.
    """

    def __init__(self, dsn: str, timeout_s: float = TRANSACTION_TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._postgres = Postgres(dsn, "event-counter store", send_times_as_integers)
        self._outage = Outage(SINK)
        self._sql = load_queries()

    async def store(self, topic: str, partition: int, batch: Batch) -> int:
        """Store a batch, and wait for Postgres as long as it takes; return the rows written.

        Raises HoleError and RefusedError.
        """
        retry_s = RETRY_FIRST_S
        while True:
            try:
                stored = await self.store_once(topic, partition, batch)
            except UnavailableError as exc:
                self._outage.goes_on(exc)
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, RETRY_MAX_S)
            else:
                self._outage.ends()
                metrics.events_stored.inc(stored)
                return stored

    async def store_once(self, topic: str, partition: int, batch: Batch) -> int:
        """As store(), but raise UnavailableError when Postgres is away."""
        try:
            with metrics.sink_seconds.labels(SINK).time():
                return await self._transaction(topic, partition, batch)
        except asyncpg.CheckViolationError:  # no partition of the table for a row
            async with self._postgres.transaction(self._timeout_s) as connection:
                await connection.execute(self._sql["event_partition.make"], times_of(batch))
            return await self._transaction(topic, partition, batch)
        except UnavailableError as exc:
            if isinstance(exc.__cause__, asyncpg.LockNotAvailableError):
                await self._free(topic, partition)
            raise
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
            raise RefusedError(
                f"Postgres refused offsets {batch.before} to {batch.after} of {topic}-{partition}:"
                f" {exc}; {getattr(exc, 'context', None)}"
            ) from exc

    def close(self) -> None:
        """Disconnect; the next batch connects again."""
        self._postgres.close()

    async def _transaction(self, topic: str, partition: int, batch: Batch) -> int:
        async with self._postgres.transaction(self._timeout_s) as connection:
            done = await self._lock_offset(connection, topic, partition)
            if done >= batch.after:
                return 0
            if done != NOTHING_STORED and done < batch.before:
                raise HoleError(
                    f"{topic}-{partition} is stored up to offset {done},"
                    f" and the next batch begins at {batch.before}"
                )
            stored = await self._copy(connection, batch[bisect_left(batch, done, key=_offset) :])
            await connection.execute(
                self._sql["event_offset.move"], topic, partition, batch.after, stored
            )
            return stored

    async def _free(self, topic: str, partition: int) -> None:
        """End the transaction of a frozen worker that had the partition before."""
        async with self._postgres.transaction(self._timeout_s) as connection:
            if await connection.fetch(self._sql["event_offset.free"], topic, partition):
                log.warning("%s-%d: ended the transaction of a worker that hangs", topic, partition)

    async def _lock_offset(self, connection: Any, topic: str, partition: int) -> int:
        """Return the next offset to store, or NOTHING_STORED; it is ours until the end."""
        lock = self._sql["event_offset.lock"]
        found = await connection.fetchval(lock, topic, partition)
        if found is None:
            await connection.execute(self._sql["event_offset.add"], topic, partition)
            found = await connection.fetchval(lock, topic, partition)
        return int(found)

    async def _copy(self, connection: Any, records: Sequence[Any]) -> int:
        """Copy while decoding: Postgres takes the first rows in as the next ones are made."""
        if not records:
            return 0
        status = await connection.copy_records_to_table(
            "event", records=rows_of(records), columns=COLUMNS
        )
        return int(status.rpartition(" ")[2])  # "COPY 20000"


def rows_of(records: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """Yield a row of COLUMNS per valid record; times in microseconds since 2000.

    Role count reports the rejected ones.
    """
    for record in records:
        try:
            event = decode(record.value or b"", record.timestamp)
        except RejectedError:
            continue
        uuid, received, properties = event.uuid, event.received_at, event.properties
        yield (
            f"{record.topic}-{record.partition}-{record.offset}" if uuid is None else uuid,
            event.type,
            event.ip,
            event.url,
            (event.timestamp - POSTGRES_EPOCH) // MICROSECOND,  # type: ignore[operator]
            record.timestamp * 1000 - POSTGRES_EPOCH_US
            if received is None
            else (received - POSTGRES_EPOCH) // MICROSECOND,
            event.user_id,
            event.session_id,
            event.ad_id,
            event.app_name,
            event.product_id,
            event.category,
            event.value,
            None if properties is None else _json(properties).decode(),
            record.partition,
            record.offset,
        )


def times_of(records: Sequence[Any]) -> list[int]:
    """Return the different days of event time in a batch, in microseconds since 2000."""
    day_us = 86_400_000_000
    row_time = COLUMNS.index("datetime")
    return [day * day_us for day in {row[row_time] // day_us for row in rows_of(records)}]
