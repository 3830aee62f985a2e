"""What the tests of the pages send and look up."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

import aiohttp
import asyncpg

from app.names import Names
from tests.support.kafka_client import KafkaClient
from tests.support.running_copy import RunningCopy
from tests.support.waiting import wait_until

LIVE = re.compile("^Live$")


async def stored(copy: RunningCopy, table: str = "event") -> int:
    """Return the rows of the table event, or of the view of those that count."""
    connection = await asyncpg.connect(copy.settings["postgres"])
    found: int = await connection.fetchval(f"select count(*) from {table}")
    await connection.close()
    return found


async def all_stored(copy: RunningCopy) -> int:
    """Return the rows of the table event once it has all that was acknowledged until now.

    What an earlier test sent may still be on its way.
    """
    names = Names(copy.settings["namespace"])
    async with KafkaClient(copy.settings["kafka"]) as kafka:
        ends = {part: end for part, end in (await kafka.ends(names.events)).items() if end}

        def reached(committed: dict[int, int]) -> bool:
            return all(committed.get(part, 0) >= end for part, end in ends.items())

        await wait_until(lambda: kafka.committed(names.store_group, names.events), reached)
    return await stored(copy)


async def post(copy: RunningCopy, *events: dict[str, Any]) -> None:
    """Send events."""
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{copy.url}/events", json=list(events)) as answer,
    ):
        assert (await answer.json())["accepted"] == len(events)


async def post_counted(copy: RunningCopy, *events: dict[str, Any]) -> None:
    """Send events; all of them are counted afterwards, for pages that ask once."""
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{copy.url}/events?position=1", json=list(events)) as answer:
            assert (await answer.json())["accepted"] == len(events)
            position = answer.headers["X-Event-Position"]
        asked = {"window": "3600", "limit": "1", "min_position": position, "wait": "10"}

        async def status() -> int:
            async with http.get(f"{copy.url}/stats/top_pages", params=asked) as answer:
                return answer.status

        await wait_until(status, HTTPStatus.OK)
