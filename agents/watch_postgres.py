"""Task watch_postgres: whether Postgres is there while there is nothing to store."""

from __future__ import annotations

from typing import Any

from app.stores.event_store import EventStore
from app.stores.refresh import LOOK_EVERY_S


def register(app: Any, store: EventStore) -> None:
    """Add the task to the app; it asks once a second, and nobody while a batch is being stored."""

    @app.task
    async def watch_postgres() -> None:
        try:
            while not app.should_stop:
                await store.look()
                await app.sleep(LOOK_EVERY_S)
        finally:
            store.look_away()  # a batch may be on its way, and ends well
