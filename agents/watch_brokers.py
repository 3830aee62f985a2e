"""Task watch_brokers: ends the worker when Kafka is well, and all of its brokers have moved.

A client asks the brokers that it knows where the others are. Where all of them have other addresses
it stands still for good, and only a new one looks at the addresses of the settings again.
"""

from __future__ import annotations

from itertools import count
from typing import Any

from agents.ending import end_when
from app.kafka.clients import KafkaClients
from app.kafka.diagnosis import brokers

LOOK_EVERY = 5  # s, while Kafka is silent
WITHIN_S = 5.0  # nothing can be flushed or committed any more; it is read again


def register(app: Any, kafka: KafkaClients) -> None:
    """Add the task to the app of a worker that reads batch topics."""
    turns = count()

    async def moved() -> str:
        contact = app.transport.contact
        if not contact.problem or next(turns) % LOOK_EVERY:
            return ""
        known, found = contact.brokers, await brokers(kafka)
        return "Kafka has moved" if known and found and not found & known else ""

    @app.task
    async def watch_brokers() -> None:
        """End the worker."""
        await end_when(app, moved, within_s=WITHIN_S)
