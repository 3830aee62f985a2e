"""Events in a Postgres of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from app.kafka.clients import KafkaClients
from app.kafka.watermarks import Watermarks
from app.names import Names
from app.settings import Settings
from app.stores.event_store import EventStore
from app.stores.stored_messages import StoredMessages
from tests.support.forgotten_months import Months
from tests.support.kafka_client import KafkaClient


@pytest.fixture
async def months(
    settings: Settings,
    topics: Names,
    kafka: KafkaClient,
    open_store: Callable[..., EventStore],
) -> AsyncIterator[Months]:
    """Yield a database without events."""
    assert topics
    messages = StoredMessages(24, by_uuid=False)
    store = open_store(settings.postgres.get_secret_value(), messages=messages)
    async with Watermarks(KafkaClients.of(settings)) as watermarks:
        yield Months(settings, watermarks, kafka, store)
