"""asyncpg COPY of rows made beforehand from a topic into the table event: no Kafka, no decoding."""

from __future__ import annotations

import gc
import time
from typing import Any

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition

from app import sql
from app.event_rows import COLUMNS, rows_of, send_times_as_integers
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
    """Copy all rows, and say how long it took."""
    await sql.migrate(dsn)
    rows = await read_rows(kafka, topic, partitions, events)
    connection = await asyncpg.connect(dsn)
    await send_times_as_integers(connection)
    when = COLUMNS.index("datetime")
    ends = [min(row[when] for row in rows), max(row[when] for row in rows)]
    await connection.execute(sql.load_queries()["event_partition.make"], ends)
    gc.freeze()
    began = time.perf_counter()
    for at in range(0, len(rows), TRANSACTION_ROWS):
        async with connection.transaction():
            part = rows[at : at + TRANSACTION_ROWS]
            await connection.copy_records_to_table("event", records=part, columns=COLUMNS)
    seconds = time.perf_counter() - began
    say(seconds=seconds, stored=await connection.fetchval("select count(*) from event"))
    await connection.close()


if __name__ == "__main__":
    uvloop.run(copy(**given()))
