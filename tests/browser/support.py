"""What the tests of the pages send and look up."""

from __future__ import annotations

import re
from typing import Any

import aiohttp
import asyncpg

from tests.support.running_copy import RunningCopy

LIVE = re.compile("^Live$")


async def stored(copy: RunningCopy, table: str = "event") -> int:
    """Return the rows of the table event, or of the view of those that count."""
    connection = await asyncpg.connect(copy.settings["postgres"])
    found: int = await connection.fetchval(f"select count(*) from {table}")
    await connection.close()
    return found


async def post(copy: RunningCopy, *events: dict[str, Any]) -> None:
    """Send events."""
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{copy.url}/events", json=list(events)) as answer,
    ):
        assert (await answer.json())["accepted"] == len(events)
