"""Sinks of absolute counts, empty: Redis and event_summary."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from redis.asyncio import Redis as Client

from app.stores.live import LiveCounts
from app.stores.summary import SummaryRow, SummaryWriter
from tests.support.database import Database
from tests.support.sinks import Setup, live_row, read_live

TABLES = "event_summary", "summary_positions"
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def live(make_redis: Callable[[], str]) -> Setup:
    """Return live counts in an empty Redis."""
    url = make_redis()

    async def empty() -> None:
        async with Client.from_url(url) as client:
            await client.flushdb()

    async def snapshot() -> Callable[[], Awaitable[None]]:
        async with Client.from_url(url) as client:
            kept: Any = {key: await client.hgetall(key) for key in await client.keys()}

        async def put_back() -> None:
            await empty()
            async with Client.from_url(url) as client:
                for key, fields in kept.items():
                    await client.hset(key, mapping=fields)

        return put_back

    read = partial(read_live, url)
    return Setup("redis", lambda: LiveCounts(url), live_row, read, empty, snapshot)


@pytest.fixture
def summary(database: Database) -> Setup:
    """Return event_summary in an empty database."""

    def row(url: str, count: int) -> SummaryRow:
        return url, NOON, "CLICK", count

    async def read() -> dict[str, int]:
        found = await database.fetch("select url, count from event_summary")
        return {row[0]: row[1] for row in found}

    async def empty() -> None:
        await database.fetch("truncate event_summary, summary_positions")

    async def snapshot() -> Callable[[], Awaitable[None]]:
        for table in TABLES:
            await database.fetch(f"create table kept_{table} as table {table}")

        async def put_back() -> None:
            await empty()
            for table in TABLES:
                await database.fetch(f"insert into {table} table kept_{table}")

        return put_back

    return Setup("summary", lambda: SummaryWriter(database.dsn), row, read, empty, snapshot)


@pytest.fixture(params=["redis", "summary"])
async def setup(
    request: pytest.FixtureRequest, live: Setup, summary: Setup
) -> AsyncIterator[Setup]:
    """Return both sinks, one after the other."""
    setup = live if request.param == "redis" else summary
    yield setup
    for refresher in setup.opened:
        await refresher.close()
