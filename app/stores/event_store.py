"""Raw events into Postgres, each exactly once: rows and offset in one transaction."""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_left
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from operator import attrgetter
from typing import Any

import asyncpg

from app import metrics
from app.counting.duplicates import Seen
from app.errors import HoleError, RowRefusedError, UnavailableError, reason
from app.events.filler import Losses, losses_of
from app.events.records import Batch
from app.kafka.log import KafkaLog
from app.stores.event_rows import COLUMNS, rows_of, send_times_as_integers, times_of
from app.stores.outages import Outage
from app.stores.postgres import TRANSACTION_TIMEOUT_S, Postgres
from app.stores.sql import load_queries
from app.stores.stored_messages import StoredMessages

log = logging.getLogger(__name__)

SINK = "event"
ROLE = "store"
RETRY_FIRST_S = 0.2
RETRY_MAX_S = 2.0  # so that it goes on soon after Postgres is back
NOTHING_STORED = -1
NEVER = 0, 0  # a position and a generation that no batch has

_offset = attrgetter("offset")


class EventStore:
    """Stores batches of the topic events; one transaction for each.

    The row of a partition in sink_offsets is locked, read and moved in the transaction that copies
    the rows. So a batch that comes twice, in part or late, or to two workers at once, or whose
    commit nobody saw, is stored once.

    What lies between the stored offset and a batch is read from the Kafka log first: Postgres may
    be new, from a backup, or a replica that was not up to date.
    """

    def __init__(
        self,
        dsn: str,
        kafka_log: KafkaLog | None = None,
        timeout_s: float = TRANSACTION_TIMEOUT_S,
        messages: StoredMessages | None = None,
    ) -> None:
        """kafka_log: where missing records are; without it a hole is an error.

        messages: what is a duplicate; None: nothing.
        """
        self._postgres = Postgres(dsn, "event-counter store", send_times_as_integers)
        # A connection of its own: the other one brings the schema up to date, which takes its time.
        self._asked = Postgres(dsn, "event-counter store health")
        self._storing = 0  # batches
        self._kafka_log = kafka_log
        self._timeout_s = timeout_s
        self._messages = messages or StoredMessages(0, by_uuid=False)
        self._outage = Outage(SINK)
        self._sql = load_queries()
        self._last: dict[tuple[str, int], tuple[int, int]] = {}
        self._told: Counter[tuple[str, int]] = Counter()

    async def store(self, topic: str, partition: int, batch: Batch) -> int:
        """Store a batch, and wait for Postgres as long as it takes; return the rows written.

        Raises HoleError and RowRefusedError.
        """
        self._storing += 1
        try:
            return await self._store(topic, partition, batch)
        finally:
            self._storing -= 1

    async def reach(self, topic: str, partition: int, position: int, gate: int) -> None:
        """Note that all below a position was read, also where no batch says it.

        Commands that wait for the store need it of a partition that nobody sends to, once Kafka has
        deleted its records, and of one that ends in markers. gate: as of a batch.
        """
        if position > self._last.get((topic, partition), NEVER)[0]:
            nothing = Batch()
            nothing.before = nothing.after = position
            nothing.gate = gate
            await self.store(topic, partition, nothing)

    async def look(self) -> None:
        """Note whether Postgres answers, where no batch shows it."""
        if self._storing:
            return
        try:
            await self._asked.ask()
        except UnavailableError as exc:
            self._outage.goes_on(exc)
        else:
            if not self._storing:  # it may answer, and yet store nothing
                self._outage.ends()

    async def _store(self, topic: str, partition: int, batch: Batch) -> int:
        stored, retry_s = 0, RETRY_FIRST_S
        while True:
            try:
                stored += await self.store_once(topic, partition, batch)
            except UnavailableError as exc:
                self._outage.goes_on(exc)
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, RETRY_MAX_S)
            except HoleError as hole:
                if self._kafka_log is None:
                    raise
                missing = self._kafka_log.read(topic, partition, max(hole.stored, 0), batch.before)
                async with aclosing(missing):
                    stored += await self._fill(topic, partition, missing)
            else:
                self._outage.ends()
                return stored

    async def store_once(self, topic: str, partition: int, batch: Batch, deleted: int = 0) -> int:
        """As store(), but raise UnavailableError when Postgres is away, and HoleError always.

        deleted: offsets of the batch that Kafka has no records of any more.
        """
        try:
            with metrics.sink_seconds.labels(SINK).time():
                stored, lost = await self._with_partitions(topic, partition, batch, deleted)
        except UnavailableError as exc:
            if isinstance(exc.__cause__, asyncpg.LockNotAvailableError):
                await self._free(topic, partition)
            raise
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
            raise RowRefusedError(
                f"Postgres refused offsets {batch.before} to {batch.after} of {topic}-{partition}:"
                f" {reason(exc)}; {getattr(exc, 'context', None)}"
            ) from exc
        if batch or batch.after > self._last.get((topic, partition), NEVER)[0]:
            self._last[topic, partition] = batch.after, batch.gate
        metrics.events_stored.inc(stored)
        if lost:
            known = min(lost, self._told[topic, partition])
            self._told[topic, partition] -= known
            metrics.events_lost.labels(ROLE).inc(lost - known)
            log.error(
                "%s-%d: Kafka lost or deleted %d offsets below %d before they were stored",
                *(topic, partition, lost, batch.after),
            )
        return stored

    def tell_lost(self, topic: str, partition: int, count: int) -> None:
        """Show at once what the next batch will write down: offsets that Kafka deleted."""
        self._told[topic, partition] += count
        metrics.events_lost.labels(ROLE).inc(count)

    def look_away(self) -> None:
        """Disconnect what look() uses, and nothing that a batch is stored by."""
        self._asked.close()

    def close(self) -> None:
        """Disconnect; the next batch connects again."""
        self._postgres.close()
        self.look_away()

    async def _with_partitions(
        self, topic: str, partition: int, batch: Batch, deleted: int
    ) -> tuple[int, int]:
        """As _transaction(); makes the partitions of the table that rows have no place in."""
        try:
            return await self._transaction(topic, partition, batch, deleted)
        except asyncpg.CheckViolationError:
            async with self._postgres.transaction(self._timeout_s) as connection:
                await connection.execute(self._sql["event_partition.make"], times_of(batch))
        return await self._transaction(topic, partition, batch, deleted)

    async def _transaction(
        self, topic: str, partition: int, batch: Batch, deleted: int
    ) -> tuple[int, int]:
        """Return how many rows were stored, and how many offsets are lost."""
        cluster = await self._kafka_log.cluster() if self._kafka_log else ""
        async with self._postgres.transaction(self._timeout_s) as connection:
            done, void = await self._lock_offset(connection, topic, partition, cluster)
            if done >= batch.after:
                return 0, 0
            if self._is_hole(topic, partition, done, batch):
                raise HoleError(
                    f"{topic}-{partition} is stored up to offset {done},"
                    f" and the next batch begins at {batch.before}",
                    done,
                )
            place, messages = (topic, partition), self._messages
            seen = await messages.take(connection, place, done)
            new = batch[bisect_left(batch, done, key=_offset) :]
            stored = await self._copy(connection, new, seen)
            if seen is not None and new:
                await messages.keep(connection, place, seen, new[-1].timestamp)
            found = Losses(0, 0)
            if stored < len(new) or void:
                found = losses_of(new, done - 1, void)
            lost = found.lost + min(deleted, batch.after - max(done, 0))
            await connection.execute(
                self._sql["event_offset.move"],
                *(topic, partition, cluster, batch.after, stored, lost, found.void),
            )
        messages.committed(place, seen, batch.after)
        return stored, lost

    def _is_hole(self, topic: str, partition: int, done: int, batch: Batch) -> bool:
        """Whether records may be missing between done and the batch."""
        if done >= batch.before or (done == NOTHING_STORED and batch.before == 0):
            return False
        if done == NOTHING_STORED and self._kafka_log is None:
            return False  # begin where the consumer group does
        if batch.lost:
            return True  # to be counted
        # The batches of one generation join up: between them lie only transaction markers, and
        # records of aborted transactions.
        return self._last.get((topic, partition)) != (done, batch.gate)

    async def _fill(
        self, topic: str, partition: int, missing: AsyncIterator[tuple[Batch, int]]
    ) -> int:
        """Store missing records as far as it goes: store() comes again for the rest."""
        stored = 0
        try:
            async for batch, deleted in missing:
                stored += await self.store_once(topic, partition, batch, deleted)
        except (UnavailableError, HoleError) as exc:
            self._outage.goes_on(exc)
            await asyncio.sleep(RETRY_MAX_S)
        if stored:
            log.warning("%s-%d: stored %d events that were missing", topic, partition, stored)
        return stored

    async def _free(self, topic: str, partition: int) -> None:
        """End the transaction of a frozen worker that had the partition before."""
        async with self._postgres.transaction(self._timeout_s) as connection:
            if await connection.fetch(self._sql["event_offset.free"], topic, partition):
                log.warning("%s-%d: ended the transaction of a hung worker", topic, partition)

    async def _lock_offset(
        self, connection: Any, topic: str, partition: int, cluster: str
    ) -> tuple[int, int]:
        """Return the next offset to store, or NOTHING_STORED, and the void fillers below it.

        The row is ours until the end.
        """
        lock = self._sql["event_offset.lock"]
        found = await connection.fetchrow(lock, topic, partition, cluster)
        if found is None:
            await connection.execute(self._sql["event_offset.add"], topic, partition)
            found = await connection.fetchrow(lock, topic, partition, cluster)
        return found["next"], found["void"]

    async def _copy(self, connection: Any, records: Sequence[Any], seen: Seen | None) -> int:
        """Copy while decoding: Postgres takes the first rows in as the next ones are made."""
        if not records:
            return 0
        judge = None if seen is None else seen.judge
        rows = rows_of(records, judge, by_uuid=self._messages.by_uuid)
        status = await connection.copy_records_to_table("event", records=rows, columns=COLUMNS)
        return int(status.rpartition(" ")[2])  # "COPY 20000"
