"""Figures of a running system, asked from outside: lag, events counted, events stored."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import aiohttp
import asyncpg
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from app.errors import StartError, reason
from app.kafka.clients import KafkaClients
from app.kafka.groups import committed
from app.kafka.tables_version import FIRST
from app.names import Names
from app.stores.connect import connect_postgres
from app.stores.stored_positions import STORED

ASK_TIMEOUT = aiohttp.ClientTimeout(total=5)


async def lag(
    kafka: KafkaClients, namespace: str, version: int = FIRST
) -> dict[str, dict[str, int]]:
    """Return {group: {topic-partition: records not yet committed}}; raise StartError if away."""
    names = Names(namespace, version)
    read_by = {
        names.count_group: (names.events, names.counts, names.uniques),
        names.store_group: (names.events,),
        names.archive_group: (names.events,),
    }
    admin, consumer = kafka.admin(), kafka.consumer()
    try:
        await kafka.knock()
        await admin.start()
        await consumer.start()
        found_topics = await admin.describe_topics([*read_by[names.count_group]])
        numbers = {
            topic["topic"]: sorted(part["partition"] for part in topic["partitions"])
            for topic in found_topics
        }
        parts = {
            group: [TopicPartition(topic, number) for topic in topics for number in numbers[topic]]
            for group, topics in read_by.items()
        }
        every = sorted({part for group in parts.values() for part in group})
        first, last = await consumer.beginning_offsets(every), await consumer.end_offsets(every)
        found = {}
        for group, places in parts.items():
            done = await committed(admin, group)
            found[group] = {
                f"{part.topic}-{part.partition}": last[part] - done.get(part, first[part])
                for part in places
            }
    except (KafkaError, OSError) as exc:
        raise StartError(f"Cannot reach Kafka at {kafka}: {reason(exc)}") from exc
    finally:
        await consumer.stop()
        await admin.close()
    return found


async def counted(count_urls: Sequence[str]) -> int | None:
    """Return how many events are in the tables, from the first count worker that answers."""
    async with aiohttp.ClientSession(timeout=ASK_TIMEOUT) as session:
        for url in count_urls:
            with contextlib.suppress(aiohttp.ClientError, OSError):
                params = {"key": ""}
                async with session.get(f"{url}/counts/events_by_type", params=params) as answer:
                    if answer.ok:
                        total: dict[str, int] = (await answer.json())["total"]
                        return sum(total.values())
    return None


async def stored(postgres: str, namespace: str) -> int | None:
    """Return how many events were stored, None when Postgres or its tables are away."""
    if not postgres:
        return None
    try:
        connection = await connect_postgres(postgres, "event-counter status")
    except (OSError, asyncpg.PostgresError):
        return None
    try:
        found: int = await connection.fetchval(STORED, Names(namespace).events)
    except asyncpg.PostgresError:
        return None
    finally:
        await connection.close()
    return found
