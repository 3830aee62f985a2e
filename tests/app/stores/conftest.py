"""Sinks of absolute counts, empty: Redis and event_summary."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest
from redis.asyncio import Redis as Client

from app.stores.live import LiveCounts
from app.stores.summary import SummaryRow, SummaryWriter
from tests.support.database import Database
from tests.support.sinks import Setup, live_row, read_live

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def live(make_redis: Callable[[], str]) -> Setup:
    """Return live counts in an empty Redis."""
    url = make_redis()

    async def empty() -> None:
        async with Client.from_url(url) as client:
            await client.flushdb()

    return Setup("redis", lambda: LiveCounts(url), live_row, lambda: read_live(url), empty)


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

    return Setup("summary", lambda: SummaryWriter(database.dsn), row, read, empty)


@pytest.fixture(params=["redis", "summary"])
async def setup(
    request: pytest.FixtureRequest, live: Setup, summary: Setup
) -> AsyncIterator[Setup]:
    """Return both sinks, one after the other."""
    setup = live if request.param == "redis" else summary
    yield setup
    for refresher in setup.opened:
        await refresher.close()
