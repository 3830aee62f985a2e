"""A Faust table that is written in batches: the ground that partials and totals stand on.

Stock Faust writes one row at a time: a RocksDB put, a changelog record and a future each. Here a
flush is one RocksDB write batch and a few ready-made record batches a partition
(docs/internals/decisions/batch-table.md). The rules that keep it exact after a kill at any moment:

* Offsets are committed only after every changelog record below them is acknowledged.
* RocksDB may be ahead of the changelog after a kill. So a row that is met again in a replay is
  sent again even where its value does not change, and recovery merges instead of overwriting.
* The persisted offset moves only over this table's own contiguous changelog writes.
* Nothing unflushed outlives a rebalance: it is read again by whoever has the partition then.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import rocksdict
from faust.types import TP

from app.lasting import apart
from app.transport import kafka_producer
from tables.expiring import ExpiringTable
from tables.healing import RowChanges
from tables.outdone import Outdone, RecordValues, merge_records
from tables.record_batches import RecordBatches
from tables.table_store import TableStore

RECOVERY_BUFFER = 2  # messages; each is a whole fetch of changelog records


class BatchTable(ExpiringTable):
    """Base of the tables; keys and values are bytes, values merge by merge_values()."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.outdone = Outdone()
        self._pending: defaultdict[int, list[tuple[Any, int, bool]]] = defaultdict(list)
        self._draining = asyncio.Lock()
        self._revoked = False  # from then until partitions move
        self._writes = 0  # that have begun and not ended
        self._no_writes = asyncio.Event()
        self._no_writes.set()

    @classmethod
    def create(cls, app: Any, name: str, partitions: int, help: str, **kwargs: Any) -> Any:  # noqa: A002
        """Add a table to the app; partitions: as its source topic."""
        table = cls(
            app,
            name=name,
            default=int,
            partitions=partitions,
            recovery_buffer_size=RECOVERY_BUFFER,
            help=help,
            **kwargs,
        )
        return app.tables.add(table)

    def _new_changelog_topic(self, **kwargs: Any) -> Any:
        topic = super()._new_changelog_topic(**kwargs)
        # raw: recovery moves bytes, and decodes only what it must compare
        return topic.clone(
            key_type=None, value_type=None, key_serializer="raw", value_serializer="raw"
        )

    def _new_store(self) -> TableStore:
        return TableStore(
            self.app.conf.store, self.app, self, table_name=self.name, options=self.options
        )

    def row_estimates(self) -> dict[int, int]:
        """Return {partition: rows}, as RocksDB estimates them."""
        name = "rocksdb.estimate-num-keys"
        return {p: db.property_int_value(name) or 0 for p, db in self.data._dbs.items()}

    def merge_values(self, old: bytes, new: bytes) -> bytes:
        """Return the value that holds what both know; the same in any order and number."""
        raise NotImplementedError

    # -- writing --------------------------------------------------------------------------

    async def write(
        self, partition: int, rows: RowChanges, beside: Iterable[tuple[bytes, bytes]] = ()
    ) -> None:
        """Write rows to RocksDB and the changelog; before_commit() awaits the latter.

        rows: (key, value, or None to delete); sorted by key they cost RocksDB half. beside: rows
        that follow from them, written with them to RocksDB and nowhere else.
        """
        changes = rocksdict.WriteBatch(raw_mode=True)
        put = changes.put
        for key, value in rows:
            if value is None:
                changes.delete(key)
            else:
                put(key, value)
        for key, value in beside:
            put(key, value)
        records = self.record_batches()
        self._writes += 1
        self._no_writes.clear()
        try:
            self.db(partition).write(changes)
            records.extend(rows)
            changelog = self.changelog_topic.get_topic_name()
            await self.send(partition, changelog, partition, records, own=True)
        finally:
            self._writes -= 1
            if not self._writes:
                self._no_writes.set()

    def record_batches(self) -> RecordBatches:
        """Return an empty collection of records to send()."""
        return RecordBatches(kafka_producer(self.app))

    async def send(
        self, source: int, topic: str, partition: int, records: RecordBatches, *, own: bool = False
    ) -> None:
        """Hand records to the producer; before_commit() awaits them for the source partition.

        But for what partitions moved in the middle of: the recovery that follows may read it.
        """
        producer, generation = kafka_producer(self.app), self.generation
        for builder in records.builders:
            if not builder.record_count():
                continue
            builder.close()
            sent = await producer.send_batch(builder, topic, partition=partition)
            self.sends += 1
            sent.add_done_callback(self._answered)
            if generation != self.generation:
                return
            self._pending[source].append((sent, builder.record_count(), own))

    def _answered(self, _sent: Any) -> None:
        self.answered += 1

    def in_flight(self) -> list[Any]:
        """Return the sends that the next commit waits for."""
        return [sent for sends in self._pending.values() for sent, _, _ in sends]

    async def before_commit(self) -> None:
        """Called by the transport: raises when a write was not acknowledged."""
        await self.drain()

    async def drain(self) -> None:
        """Wait until Kafka has acknowledged all that can be read by now; raise if it did not."""
        await self._no_writes.wait()  # a row can be read before its record is on its way
        async with self._draining:  # whoever comes second must wait for what the first waits for
            generation = self.generation
            for partition, pending in [item for item in self._pending.items() if item[1]]:
                if generation == self.generation:
                    self._pending[partition] = []
                try:
                    await self._drain_partition(partition, pending, generation)
                except BaseException:  # cancelled: the next one must wait for them all the same
                    if generation == self.generation:
                        self._pending[partition] = pending + self._pending[partition]
                    raise

    async def _drain_partition(
        self, partition: int, pending: list[tuple[Any, int, bool]], generation: int
    ) -> None:
        changelog = TP(self.changelog_topic.get_topic_name(), partition)
        is_open = partition in self.data._dbs
        before = self.data.persisted_offset(changelog) if is_open else None
        last = before = -1 if before is None else before
        for sent, count, own in pending:
            metadata = await asyncio.shield(sent)  # a cancel of ours is not a failure of Kafka's
            if generation != self.generation:
                continue  # a recovery may have read it
            if own and 0 <= metadata.offset <= before:
                self.note_cut(changelog)
            # Another writer's record in between (a zombie's): the next recovery reads from there.
            if own and metadata.offset == last + 1:
                last += count
        if last > before and generation == self.generation and partition in self.data._dbs:
            self.data.set_persisted_offset(changelog, last)

    async def send_rows(self, partition: int, rows: RowChanges) -> None:
        """Send rows as they are in RocksDB to the changelog."""
        records = self.record_batches()
        records.extend(rows)
        changelog = self.changelog_topic.get_topic_name()
        await self.send(partition, changelog, partition, records, own=True)

    async def send_all_beside(self, partition: int) -> None:
        """Send all rows again with a flush, until give_up(): partitions wait for the flush.

        What asked for it is not committed then, and asks again.
        """
        if self._revoked:
            return
        self._healing = asyncio.create_task(self.send_all(partition))
        await apart(self._healing)

    # -- rebalance and recovery -----------------------------------------------------------

    def give_up(self) -> None:
        """As HealingTable, and what a flush sends beside its own rows."""
        self._revoked = True
        super().give_up()

    async def on_rebalance(
        self, assigned: Any, revoked: Any, newly_assigned: Any, generation_id: int = 0
    ) -> None:
        """Forget what is not committed, of all partitions: it is read again."""
        async with self.busy:
            self.forget()
            await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)

    def forget(self) -> None:
        """Drop all that is only in memory."""
        super().forget()
        self._revoked = False
        self._pending.clear()

    def recover(self, batch: Iterable[Any]) -> None:
        """Merge changelog records into RocksDB; each message carries a fetch of them."""
        newest: defaultdict[int, RecordValues] = defaultdict(dict)
        last: defaultdict[int, RecordValues] = defaultdict(dict)
        offsets: dict[Any, int] = {}
        for event in batch:
            message = event.message
            rows, said = newest[message.partition], last[message.partition]
            merge_records(self.own_records(message), rows, said, self.merge_values)
            offsets[message.tp] = max(int(message.offset), offsets.get(message.tp, -1))
        for partition, rows in newest.items():
            self._recover_rows(partition, rows, last[partition])
            self.outdone.uncover(partition, self.db(partition), self.check_row)
        for tp, offset in offsets.items():
            if not self.outdone.holds(tp, offset):
                self.data.set_persisted_offset(tp, offset)

    def _recover_rows(self, partition: int, rows: RecordValues, last: RecordValues) -> None:
        """last: what the last record of a row says, where that is not in rows."""
        db, changes, keys = self.db(partition), rocksdict.WriteBatch(raw_mode=True), list(rows)
        changed: list[tuple[bytes, bytes | None, bytes]] = []
        outdone = self.outdone.rows[partition]
        for key, old in zip(keys, db.get(keys), strict=True):
            if (new := rows[key]) is None:
                changes.delete(key)
            else:
                new = new if old is None else self.merge_values(old, new)
                if new != old:
                    changed.append((key, old, new))
            if new != last.get(key, rows[key]):
                outdone.add(key)
            elif outdone:
                outdone.discard(key)
        for key, _, value in changed:
            changes.put(key, value)
        for key, value in self.recovered(partition, changed):
            changes.put(key, value)
        db.write(changes)

    def recovered(
        self,
        partition: int,  # noqa: ARG002
        changed: Sequence[tuple[bytes, bytes | None, bytes]],  # noqa: ARG002
    ) -> Iterable[tuple[bytes, bytes]]:
        """Return what is written beside rows that recovery changed: (key, old value, new value)."""
        return ()
