"""What a running system has done, asked from outside and seldom enough to cost nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Self

import aiohttp
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from bench.support.backlog import Expected

POLL_S = 0.05
DEADLINE_S = 900.0


class Offsets:
    """Committed and end offsets of one group and topic; use as an async context manager."""

    def __init__(self, admin: AIOKafkaAdminClient, kafka: str, group: str, topic: str) -> None:
        self._admin, self._group, self._topic = admin, group, topic
        self._consumer = AIOKafkaConsumer(bootstrap_servers=kafka)

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def ends(self) -> dict[int, int]:
        """Return the end of each partition."""
        description = await self._admin.describe_topics([self._topic])
        numbers = [part["partition"] for part in description[0]["partitions"]]
        ends = await self._consumer.end_offsets([TopicPartition(self._topic, n) for n in numbers])
        return {part.partition: end for part, end in ends.items()}

    async def committed(self) -> dict[int, int]:
        """Return what is committed of each partition that has anything."""
        offsets = await self._admin.list_consumer_group_offsets(self._group)
        return {
            part.partition: meta.offset
            for part, meta in offsets.items()
            if part.topic == self._topic and meta.offset > 0
        }

    async def all_committed(self, deadline_s: float = DEADLINE_S) -> float:
        """Wait until everything is committed; return when, on the clock of asyncio."""
        ends = {partition: end for partition, end in (await self.ends()).items() if end}

        async def done() -> bool:
            return await self.committed() == ends

        return await until(done, f"{self._group} to commit", deadline_s)


class Counted:
    """The answers of a count worker, or of a collector."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def total(self) -> int:
        """Return how many events are in the totals."""
        async with self._http.get(f"{self._url}/counts/events_by_type?key=") as answer:
            found: dict[str, Any] = await answer.json()
            return sum(found.get("total", {}).values())

    async def of_url(self, url: str) -> dict[str, int]:
        """Return {type: count}."""
        async with self._http.post(f"{self._url}/event_track/", json={"url": url}) as answer:
            found = await answer.json()
            return {row["type"]: row["count"] for row in found.get("events", [])}

    async def put(self, body: bytes) -> None:
        """Send an event through PUT /event_generate/; raise when it is not acknowledged."""
        async with self._http.put(f"{self._url}/event_generate/", data=body) as answer:
            answer.raise_for_status()

    async def complete(self, events: int, expected: Expected) -> float:
        """Wait until the totals hold all events; return when, on the clock of asyncio.

        Raises SystemExit when they hold more: then the figures are worth nothing.
        """

        async def all_there() -> bool:
            if (found := await self.total()) > events:
                raise SystemExit(f"{found} events counted of {events}")
            return found == events

        at = await until(all_there, "the totals")
        for url, counts in expected.items():

            async def right(url: str = url, counts: dict[str, int] = counts) -> bool:
                return await self.of_url(url) == counts

            at = await until(right, f"{url} to have {counts}")
        return at


async def until(
    done: Callable[[], Awaitable[bool]], what: str, deadline_s: float = DEADLINE_S
) -> float:
    """Return when done() was first true; raise SystemExit at the deadline."""
    loop = asyncio.get_running_loop()
    last = loop.time() + deadline_s
    while not await done():
        if loop.time() > last:
            raise SystemExit(f"waited {deadline_s:.0f} s in vain for {what}")
        await asyncio.sleep(POLL_S)
    return loop.time()
