"""Agent store_events: each batch of `events` into Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from app.stores.event_store import EventStore


def register(app: Any, topic: Any, store: EventStore) -> None:
    """Add the agent to the app; it closes the store when it ends."""

    @app.agent(topic, name="store_events")
    async def store_events(stream: Any) -> AsyncIterator[int]:
        """Store each batch of events in Postgres, and wait while Postgres is away."""
        stream = stream.noack()
        try:
            async for event in stream.events():
                message = event.message
                stored = await store.store(message.topic, message.partition, event.value)
                await stream.ack(
                    event
                )  # after the commit: a batch that comes again changes nothing
                yield stored
        finally:
            store.close()
