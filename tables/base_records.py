"""What forgotten months added up to, as records of new tables, before any worker reads these.

A row of the partials gets the last offset NO_OFFSET: all events that are left come after it, and
add to it. Distinct values are united with what comes, and the rules start from what they knew.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import msgspec

from app.counting.counters import Counters
from app.counting.message_runs import MessageRun
from app.counting.outcomes import OUTCOMES
from app.counting.row_keys import SOURCE
from app.counting.rules import Clicks
from app.counting.spec import Cells, CounterSpec, counts_partition
from app.counting.uniques import METRICS, owner_key
from app.kafka.clients import KafkaClients, kafka_away, started
from app.names import Names
from app.settings import Settings
from app.stores.sql import load_queries
from tables.judged import clicks_row
from tables.messages import run_row
from tables.outcome_row import OUTCOMES_ROW
from tables.partial_values import CARRIES, Partial
from tables.record_batches import RecordBatches

NO_OFFSET = -1
ALL_TIME, HOURLY = 1, 2  # numbers of counters by url: all time is the sum of the hours
BOTS, DUPLICATES = 23, 24
CHUNK = 5000  # rows of Postgres
WAITING_MAX = 100  # record batches

TopicRecord = tuple[str, int, bytes, bytes]  # topic, partition, key, value
RowPlace = tuple[int, bytes]  # source partition, row

_encode = msgspec.msgpack.Encoder().encode


class BaseRecords:
    """Writes them. Raises KafkaUnavailableError, or what asyncpg does."""

    def __init__(self, settings: Settings, version: int, counters: Counters) -> None:
        """version: of the new tables. counters: of the workers that count into them."""
        self._settings, self._counters = settings, counters
        self._names, self._sql = Names(settings.namespace, version), load_queries()

    async def write(self, connection: asyncpg.Connection) -> int:
        """Write all of them; return how many."""
        if not (await connection.fetchrow(self._sql["base.forgotten"]))["rows"]:
            return 0
        with kafka_away():
            producer = await started(KafkaClients.of(self._settings).producer(acks="all"))
            try:
                async with connection.transaction(isolation="repeatable_read"):
                    return await self._send(producer, connection)
            finally:
                await producer.stop()

    async def _send(self, producer: Any, connection: asyncpg.Connection) -> int:
        many = 0
        batches: dict[tuple[str, int], RecordBatches] = {}
        waiting = 0
        async for topic, partition, key, value in self._records(connection):
            found = batches.get((topic, partition))
            if found is None:
                found = batches[topic, partition] = RecordBatches(producer)
            before = len(found.builders)
            found.extend([(key, value)])
            waiting += len(found.builders) - before
            many += 1
            if waiting >= WAITING_MAX:
                await _sent(producer, batches)
                waiting = 0
        await _sent(producer, batches)
        return many

    async def _records(self, connection: asyncpg.Connection) -> AsyncIterator[TopicRecord]:
        names, settings = self._names, self._settings
        for row in await connection.fetch(self._sql["base.outcomes"], BOTS, DUPLICATES):
            yield names.partials_changelog, row["partition"], OUTCOMES_ROW, _outcomes(row)
        async for source, key, value in self._cells(connection):
            yield names.partials_changelog, source, key, value
            spec = self._counters.by_number[key[0]]
            owner = counts_partition(spec.keys.key_of(key), settings.counts_partitions)
            yield names.counts, owner, key + SOURCE.pack(source), value
        if settings.statistics:
            own = self._counters.sketched().by_number
            numbers = [*METRICS, *own]
            async for row in connection.cursor(self._sql["base.sketches"], numbers, prefetch=CHUNK):
                owner = counts_partition(owner_key(row["row"], own), settings.counts_partitions)
                yield names.uniques, owner, row["row"], row["sketch"]
            async for row in connection.cursor(self._sql["base.clicks_all"], prefetch=CHUNK):
                clicks = Clicks(row["positions"], row["counts"])
                place = names.judged_changelog, row["partition"]
                yield *place, *clicks_row(row["user_id"], clicks)
        if settings.dedupe_hours:
            query = self._sql["base.messages"]
            async for row in connection.cursor(query, names.events, prefetch=10):
                place = names.messages_changelog, row["partition"]
                yield *place, *run_row(MessageRun.unpack(row["run"]))

    async def _cells(
        self, connection: asyncpg.Connection
    ) -> AsyncIterator[tuple[int, bytes, bytes]]:
        """Yield (source partition, row, value) of the partials."""
        for spec in self._counters.values():
            if spec.retention is not None or spec.sum_of or spec.measure.is_sketch:
                continue
            number = HOURLY if spec.number == ALL_TIME else spec.number
            place: RowPlace | None = None
            cells: Cells = {}
            async for row in connection.cursor(self._sql["base.cells"], [number], prefetch=CHUNK):
                found, slot = _place(spec, row)
                if found != place:
                    if place is not None:
                        yield *place, _encode(Partial(NO_OFFSET, cells, CARRIES))
                    place, cells = found, {}
                cells[slot] = cells.get(slot, 0) + row["value"]
            if place is not None:
                yield *place, _encode(Partial(NO_OFFSET, cells, CARRIES))


def _place(spec: CounterSpec, row: Any) -> tuple[RowPlace, int]:
    start, slot = spec.place(row["start"])
    slot = slot * spec.measure.signs + row["negative"]
    return (row["source"], spec.keys.row(row["key"], start, row["label"])), slot


def _outcomes(row: Any) -> bytes:
    left_out = row["bots"] + row["duplicates"]
    many = {
        "received": row["rows"],
        "counted": row["rows"] - left_out,
        "bots": row["bots"],
        "duplicates": row["duplicates"],
    }
    cells = {OUTCOMES.index(name): value for name, value in many.items()}
    return _encode(Partial(NO_OFFSET, cells))


async def _sent(producer: Any, batches: dict[tuple[str, int], RecordBatches]) -> None:
    """Return once all of them are in Kafka."""
    sent = []
    for (topic, partition), found in batches.items():
        for builder in found.builders:
            if builder.record_count():
                builder.close()
                sent.append(await producer.send_batch(builder, topic, partition=partition))
    batches.clear()
    for one in sent:
        await one
