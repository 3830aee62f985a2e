"""Stores on a database of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from app.stores.event_store import EventStore
from tests.support.database import Database


@pytest.fixture
async def database(make_database: Callable[[], Awaitable[str]]) -> Database:
    """Return an empty database."""
    return Database(await make_database())


@pytest.fixture
async def open_store(database: Database) -> AsyncIterator[Callable[..., EventStore]]:
    """Return a factory of event stores on `database`, each with its own connection."""
    stores: list[EventStore] = []

    def open_one(dsn: str = database.dsn, **options: Any) -> EventStore:
        stores.append(EventStore(dsn, **options))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()
