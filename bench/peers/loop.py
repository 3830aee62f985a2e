"""A bare aiokafka loop: decodes, counts one counter in a dict, commits at the end."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from datetime import datetime

import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer

from bench.support.peer import given, say


class Event(msgspec.Struct):
    """What is counted of an event."""

    url: str
    type: str
    timestamp: datetime


async def count(kafka: str, topic: str, group: str, events: int) -> None:
    """Count so many events, and say how long it took."""
    decode = msgspec.json.Decoder(Event).decode
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=kafka,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=4_000_000,
    )
    await consumer.start()
    while not consumer.assignment():
        await asyncio.sleep(0.001)
    began = time.perf_counter()
    counts: Counter[tuple[str, str]] = Counter()
    seen = 0
    while seen < events:
        found = await consumer.getmany(timeout_ms=1000, max_records=20_000)
        for records in found.values():
            seen += len(records)
            for record in records:
                event = decode(record.value)
                counts[event.url, event.type] += 1
    await consumer.commit()
    say(seconds=time.perf_counter() - began, counted=sum(counts.values()), rows=len(counts))
    await consumer.stop()


if __name__ == "__main__":
    uvloop.run(count(**given()))
