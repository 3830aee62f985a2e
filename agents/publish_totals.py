"""Timer publish_totals: the running total of every event type to `unique-event-topic`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from app.ownership import Ownership
from app.settings import Names, Settings
from app.transport import kafka_producer
from tables.totals import Totals

_encode = msgspec.json.Encoder(order="deterministic").encode


def register(app: Any, totals: Totals, ownership: Ownership, settings: Settings) -> None:
    """Add the timer to the app; only the owner of the totals sends."""
    topic = Names(settings.namespace).totals
    published: dict[str, int] = {}

    @app.timer(interval=settings.totals_interval_s, name="publish_totals")
    async def publish_totals() -> None:
        nonlocal published
        if not ownership.owns(totals.partition_of("")):
            return
        counts = totals.read("events_by_type", "", 0, 1).get(0, {})
        if not counts or counts == published:
            return
        # What is not in the changelog yet could be lost with this worker, and the next one would
        # publish less.
        await totals.drain()
        message = total_message(counts, datetime.now(UTC))
        await kafka_producer(app).send_and_wait(topic, message)
        published = counts


def total_message(counts: dict[str, int], now: datetime) -> bytes:
    """Return {"<type>": total, …, "receiveAt": "2020-02-27T00:06:38UTC"} as JSON."""
    return _encode({**counts, "receiveAt": f"{now:%Y-%m-%dT%H:%M:%S}UTC"})
