"""Task watch_postgres: what Postgres must know, and whether it is there, with nothing to store."""

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
                gate = app.consumer.gate
                for tp, position in app.consumer.positions().items():
                    await store.reach(tp.topic, tp.partition, position, gate)
                await app.sleep(LOOK_EVERY_S)
        finally:
            store.look_away()  # a batch may be on its way, and ends well
