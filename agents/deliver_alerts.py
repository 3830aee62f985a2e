"""Task deliver_alerts: the records of `alerts` to a webhook, in a consumer group of its own.

So a receiver that is away holds up nothing but itself: the counting does not wait for it, and the
group's committed offsets remember what it has got, whichever worker delivers.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any

from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from app.alerting.delivered import read_on
from app.alerting.deliveries import Deliveries
from app.alerting.webhook import Webhook
from app.errors import reason
from app.kafka.clients import KafkaClients
from app.names import Names
from app.settings import Settings
from app.transport.leaving import leave

POLL_S = 1.0
FETCH_WAIT_MS = 2000  # an alert ends the wait at once
RETRY_S = 0.1  # once Kafka does not have what was to be read next
PAUSE_S = 2.0  # before the next attempt to use Kafka

log = logging.getLogger(__name__)


def register(app: Any, webhook: Webhook, settings: Settings) -> None:
    """Add the task to the app."""

    @app.task
    async def deliver_alerts() -> None:
        """Deliver alerts until the worker stops, whatever goes wrong on the way."""
        try:
            while not app.should_stop:
                try:
                    await deliver(app, webhook, settings)
                except (KafkaError, OSError) as exc:
                    log.warning("alerts cannot be delivered right now: %s", reason(exc))
                    await app.sleep(PAUSE_S)
        finally:
            await webhook.close()


async def deliver(app: Any, webhook: Webhook, settings: Settings) -> None:
    """Read the topic and deliver what comes; raise KafkaError or OSError."""
    names, kafka = Names(settings.namespace), KafkaClients.of(settings)
    consumer = kafka.consumer(
        group_id=names.webhook_group,
        auto_offset_reset="none",  # an error, and a new look at what was delivered
        fetch_max_wait_ms=FETCH_WAIT_MS,
    )
    deliveries = Deliveries(consumer, webhook, partial(read_on, kafka, names.webhook_group))
    consumer.subscribe([names.alerts], listener=deliveries)
    try:
        await consumer.start()
        while not app.should_stop:
            await deliveries.settle()
            wait_s = min(POLL_S, deliveries.next_due_s())
            try:
                found = await consumer.getmany(timeout_ms=max(1, int(wait_s * 1000)))
            except (NoOffsetForPartitionError, OffsetOutOfRangeError):
                deliveries.start_over()
                await asyncio.sleep(RETRY_S)
                continue
            deliveries.add(found)
            await deliveries.attempt()
    finally:
        await asyncio.shield(leave(consumer))
