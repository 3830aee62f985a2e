"""Fills a partition with records that hold a place."""

from __future__ import annotations

import time
from typing import Any

from app.kafka.clients import KafkaClients

BATCH_BYTES = 900_000  # unpacked; the broker takes 1 MB, and packed they are a few KB
AT_ONCE = 8  # batches on their way: 0.5 million records


async def pad(
    kafka: KafkaClients, topic: str, partition: int, count: int, record: tuple[bytes | None, Any]
) -> None:
    """Append a record so many times; return when Kafka has acknowledged all.

    record: (key, value). After an error any number of them may be there: look at the end again.
    Raises KafkaError or OSError.
    """
    producer = kafka.producer(
        acks="all",
        enable_idempotence=True,  # a batch that is sent again is not there twice
        compression_type="gzip",
        max_batch_size=BATCH_BYTES,
    )
    try:
        await producer.start()
        waiting: list[Any] = []
        while count:
            builder = producer.create_batch()
            count -= _fill(builder, count, record)
            builder.close()
            waiting.append(await producer.send_batch(builder, topic, partition=partition))
            if len(waiting) >= AT_ONCE:
                await waiting.pop(0)
        for sent in waiting:
            await sent
    finally:
        await producer.stop()


def _fill(builder: Any, count: int, record: tuple[bytes | None, Any]) -> int:
    """Return how many of a record a batch has taken."""
    key, value = record
    now_ms = int(time.time() * 1000)
    for taken in range(count):
        if builder.append(key=key, value=value, timestamp=now_ms) is None:
            return taken
    return count
