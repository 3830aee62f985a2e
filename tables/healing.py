"""A table whose changelog lost records that RocksDB has: it sends its rows again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import rocksdict
from faust.tables.table import Table

from app.kafka.strange import leave_out
from tables.outdone import Outdone
from tables.unreadable import part_strange

RowChanges = Sequence[tuple[bytes, bytes | None]]

CHUNK = 10_000  # rows read and sent at a time
# Beside Faust's own key: all rows must be sent again, whatever has ended the last attempt.
AGAIN_KEY = b"__faust\0again__"
TOPIC_KEY = b"__faust\0topic__"  # the id of the topic that the offset is one of
OFFSET_KEY = b"__faust\0offset__"
OWN_KEYS = (AGAIN_KEY, TOPIC_KEY, OFFSET_KEY)


class ChangelogCutError(RuntimeError):
    """Kafka gives offsets a second time: it has lost the end of a changelog."""


class HealingTable(Table):
    """Base of BatchTable.

    keeps_all: whether the changelog holds nothing but the rows. only_here: what keys begin with
    that are in RocksDB alone.
    """

    keeps_all = True
    only_here: tuple[bytes, ...] = ()
    outdone: Outdone
    generation: int
    sends = answered = 0  # record batches
    _ending: asyncio.Future[None] | None = None
    _healing: asyncio.Task[Any] | None = None

    def db(self, partition: int) -> Any:
        """Return the RocksDB of a partition."""
        return self.data._db_for_partition(partition)

    def check_row(self, key: bytes, value: bytes) -> None:
        """Raise ValueError, msgspec.MsgspecError, … where these are no row of this table."""
        raise NotImplementedError

    def own_records(self, message: Any) -> list[Any]:
        """Return the changelog records of a message, without those that somebody else wrote."""
        records = message.value if type(message.value) is list else (message,)
        ours, strange = part_strange(records, self.check_row, OWN_KEYS)
        leave_out(strange)
        self.outdone.hidden[message.partition].update(r.key for r, _ in strange if r.key)
        return ours

    async def send_rows(self, partition: int, rows: RowChanges) -> None:
        """Send rows as they are in RocksDB."""
        raise NotImplementedError

    def in_flight(self) -> list[Any]:
        """Return the sends that Kafka has not acknowledged."""
        raise NotImplementedError

    @property
    def healing(self) -> tuple[int, int] | None:
        """Sends so far, and how many Kafka has answered; None where no row is sent again."""
        if self._healing is None or self._healing.done():
            return None
        return self.sends, self.answered

    async def drain(self) -> None:
        """Wait until Kafka has acknowledged what was sent."""
        raise NotImplementedError

    def recover(self, batch: Iterable[Any]) -> None:
        """Merge changelog records into RocksDB."""
        raise NotImplementedError

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """As recover(); an error ends the worker: Faust logs it, and waits for ever."""
        try:
            self.recover(batch)
        except Exception as exc:
            self._ending = asyncio.ensure_future(self.app.consumer.fail(exc))
            raise

    async def send_all(self, partition: int) -> None:
        """Send all rows of a partition again, until partitions move."""
        count, generation = 0, self.generation
        for found in in_chunks(self.db(partition)):
            if generation != self.generation:
                return
            rows = [(key, value) for key, value in found if not key.startswith(self.only_here)]
            await self.send_rows(partition, rows)
            count += len(rows)
            await asyncio.sleep(0)
        self.log.warning("%s-%d: sent all %d rows again", self.name, partition, count)

    def is_made_anew(self, tp: Any, topic_id: bytes) -> bool:
        """Note which topic the changelog is; return whether it was another one until now.

        Then nothing has been read of it, and all rows are sent again: nothing else would tell,
        where it is as long by now as the other one was.
        """
        if tp.partition not in self.data._dbs:  # it moved on while Kafka was asked
            return False
        db, changes = self.db(tp.partition), rocksdict.WriteBatch(raw_mode=True)
        if (known := db.get(TOPIC_KEY)) == topic_id:
            return False
        changes.put(TOPIC_KEY, topic_id)
        if known is not None:
            changes.put(AGAIN_KEY, b"1")
            changes.delete(OFFSET_KEY)
            self.log.error(
                "%s was deleted and made anew. Its rows are still here and will be sent again", tp
            )
        db.write(changes)
        return known is not None

    async def on_recovery_completed(self, active_tps: Any, standby_tps: Any) -> None:
        """As Faust's; a changelog that ends before what RocksDB has of it gets all rows again."""
        self._healing = asyncio.current_task()
        highwaters = self.app.tables.recovery.active_highwaters
        self._note_cuts({tp: highwaters.get(tp) for tp in active_tps})
        for tp in active_tps:
            await self._heal(tp)
            await self._send_outdone(tp)
        await super().on_recovery_completed(active_tps, standby_tps)

    def give_up(self) -> None:
        """Called by the transport at a revocation: end that; the next recovery begins anew."""
        if self._healing is not None:
            self._healing.cancel()

    def _note_cuts(self, lasts: Mapping[Any, int | None]) -> None:
        """Let all rows be sent again where a changelog ends before what was read of it.

        lasts: offset of each partition's last record, -1 where it is empty. A topic that was made
        anew has lost all partitions, and one of them may be as long as it was already.
        """
        read = {tp: self.data.persisted_offset(tp) for tp in lasts}
        cut = {
            tp: last
            for tp, last in lasts.items()
            if last is not None and (persisted := read[tp]) is not None and persisted > last
        }
        for tp in lasts if cut else ():
            self.db(tp.partition).put(AGAIN_KEY, b"1")
        for tp, last in cut.items():
            self.log.error(
                "%s ends at offset %d and was read up to %d: Kafka lost records that it had"
                " acknowledged. The rows are still here and will be sent again",
                *(tp, last + 1, read[tp] + 1),
            )
            self.data.set_persisted_offset(tp, last)

    async def _heal(self, tp: Any) -> None:
        generation, db = self.generation, self.db(tp.partition)
        if db.get(AGAIN_KEY) is not None:
            if self.keeps_all:
                await self.send_all(tp.partition)
                await self.drain()
            if generation == self.generation:  # else nobody has waited for all of them
                db.delete(AGAIN_KEY)

    async def _send_outdone(self, tp: Any) -> None:
        """Send rows again of which the last record says less than is known."""
        rows, db = sorted(self.outdone.rows[tp.partition]), self.db(tp.partition)
        generation = self.generation
        if rows and self.keeps_all:
            for begin in range(0, len(rows), CHUNK):
                if generation != self.generation:
                    return
                some = rows[begin : begin + CHUNK]
                found = zip(some, db.get(some), strict=True)
                await self.send_rows(tp.partition, [(row, v) for row, v in found if v is not None])
                await asyncio.sleep(0)
            await asyncio.gather(*map(asyncio.shield, self.in_flight()))
            if generation != self.generation:
                return
            self.log.info("%s-%d: sent %d rows again", self.name, tp.partition, len(rows))
        if (read := self.outdone.sent(tp.partition)) is not None:
            self.data.set_persisted_offset(tp, read)
            await self.drain()  # they follow each other from there

    def note_cut(self, tp: Any) -> None:
        """Remember for the next start that the changelog has lost its end; raises.

        A topic that was made anew has lost that of each partition, and where it is longer by then
        than it was, nothing else would tell.
        """
        for partition in {tp.partition, *self.data._dbs}:
            self.db(partition).put(AGAIN_KEY, b"1")
        raise ChangelogCutError(f"{tp} is cut short; the next start sends all rows again")


def in_chunks(db: Any) -> Iterator[list[tuple[bytes, bytes | None]]]:
    """Yield all rows of a RocksDB that a table has put there, in their order."""
    cursor = db.iter()
    cursor.seek_to_first()
    while cursor.valid():
        rows: list[tuple[bytes, bytes | None]] = []
        while cursor.valid() and len(rows) < CHUNK:
            if (key := cursor.key()) not in OWN_KEYS:
                rows.append((key, cursor.value()))
            cursor.next()
        yield rows
