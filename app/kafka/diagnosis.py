"""Whether Kafka takes what a worker sends, and where it is: asked over a connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError, for_code

from app.errors import reason
from app.kafka.clients import KafkaClients
from app.lasting import HopelessError

ASK_S = 5.0


async def diagnose(kafka: KafkaClients, topics: Sequence[str], in_sync: int) -> str:
    """Return what keeps Kafka from taking records of some topics; "" where nothing does.

    in_sync: replicas that must be there. Raises HopelessError where a topic is gone: the next start
    makes it.
    """
    admin = kafka.admin(request_timeout_ms=int(ASK_S * 1000))
    try:
        async with asyncio.timeout(2 * ASK_S):
            await admin.start()
            found = await admin.describe_topics(list(topics))
    except (KafkaError, OSError) as exc:  # TimeoutError is an OSError
        return f"Kafka at {kafka} does not answer ({reason(exc)})"
    finally:
        await admin.close()
    for topic in found:
        if for_code(topic["error_code"]) is UnknownTopicOrPartitionError:
            raise HopelessError(f"topic {topic['topic']} is gone: the next start makes it anew")
        for part in topic["partitions"]:
            place = f"{topic['topic']}-{part['partition']}"
            if part["leader"] < 0:
                return f"{place} has no leader"
            if len(part["isr"]) < in_sync:
                return f"{place} has {len(part['isr'])} replicas in sync, not {in_sync}"
    return ""


async def brokers(kafka: KafkaClients) -> set[tuple[str, int]]:
    """Return host and port of the brokers that the addresses lead to now; none: Kafka is away."""
    admin = kafka.admin(request_timeout_ms=int(ASK_S * 1000))
    try:
        async with asyncio.timeout(2 * ASK_S):
            await admin.start()
            found = await admin.describe_cluster()
    except (KafkaError, OSError):
        return set()
    finally:
        await admin.close()
    return {(broker["host"], broker["port"]) for broker in found["brokers"]}
