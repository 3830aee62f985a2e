"""Alerts, and what delivers them to a receiver."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

from agents.deliver_alerts import deliver
from app.alerting.webhook import Webhook
from app.names import Names
from app.settings import Settings
from tests.support.kafka_client import KafkaClient
from tests.support.receiver import Receiver


@asynccontextmanager
async def answering() -> AsyncIterator[Receiver]:
    """Yield a receiver that answers."""
    async with Receiver() as receiver:
        await receiver.open()
        yield receiver


@asynccontextmanager
async def delivering(settings: Settings, receiver: Receiver) -> AsyncIterator[None]:
    """Deliver while inside, as a count worker does."""
    webhook, app = Webhook(receiver.url, "k"), SimpleNamespace(should_stop=False)
    task = asyncio.create_task(deliver(app, webhook, settings))
    try:
        yield
        assert not task.done(), task
    finally:
        app.should_stop = True
        await asyncio.wait([task])
        await webhook.close()


async def raise_alerts(
    kafka: KafkaClient, names: Names, *keys: str, partition: int = 0, age_ms: int = 0
) -> None:
    """Send an alert of each key; age_ms: how long ago it was raised."""
    for key in keys:
        body = json.dumps({"rule": "r", "key": key}).encode()
        now_ms = int(time.time() * 1000) - age_ms
        await kafka.send(names.alerts, [body], partition, key=key.encode(), timestamp_ms=now_ms)
