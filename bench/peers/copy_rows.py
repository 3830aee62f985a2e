"""asyncpg COPY of rows made beforehand from a topic into the table event: no Kafka, no decoding."""

from __future__ import annotations

import gc
import time
from datetime import timedelta
from typing import Any

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition

from app.stores import sql
from app.stores.event_rows import COLUMNS, POSTGRES_EPOCH, rows_of, send_times_as_integers
from bench.support.peer import given, say

TRANSACTION_ROWS = 20_000


async def read_rows(kafka: str, topic: str, partitions: int, events: int) -> list[Any]:
    """Return a row for each event of the topic."""
    rows: list[Any] = []
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, max_partition_fetch_bytes=4_000_000)
    await consumer.start()
    parts = [TopicPartition(topic, number) for number in range(partitions)]
    consumer.assign(parts)
    await consumer.seek_to_beginning(*parts)
    while len(rows) < events:
        for records in (await consumer.getmany(timeout_ms=1000)).values():
            rows += rows_of(records)
    await consumer.stop()
    return rows


async def copy(kafka: str, topic: str, partitions: int, events: int, dsn: str) -> None:
    """Copy all rows with plain asyncpg, then with its time codec replaced; say how long."""
    await sql.migrate(dsn)
    quick_rows = await read_rows(kafka, topic, partitions, events)
    times = [COLUMNS.index("datetime"), COLUMNS.index("received_at")]
    rows = [with_datetimes(row, times) for row in quick_rows]
    ends = [min(row[times[0]] for row in quick_rows), max(row[times[0]] for row in quick_rows)]
    gc.freeze()
    connection = await asyncpg.connect(dsn)
    other = await asyncpg.connect(dsn)
    await send_times_as_integers(other)
    await other.execute(sql.load_queries()["event_partition.make"], ends)
    seconds = await timed_copy(connection, rows)
    stored = await connection.fetchval("select count(*) from event")
    await connection.execute("truncate event")
    say(seconds=seconds, integers=await timed_copy(other, quick_rows), stored=stored)


def with_datetimes(row: tuple[Any, ...], times: list[int]) -> tuple[Any, ...]:
    """Return a row as whoever uses asyncpg would make it."""
    made = list(row)
    for at in times:
        made[at] = POSTGRES_EPOCH + timedelta(microseconds=row[at])
    return tuple(made)


async def timed_copy(connection: asyncpg.Connection, rows: list[Any]) -> float:
    """Copy the rows, in transactions; return the seconds."""
    began = time.perf_counter()
    for at in range(0, len(rows), TRANSACTION_ROWS):
        async with connection.transaction():
            part = rows[at : at + TRANSACTION_ROWS]
            await connection.copy_records_to_table("event", records=part, columns=COLUMNS)
    return time.perf_counter() - began


if __name__ == "__main__":
    uvloop.run(copy(**given()))
