"""The Kafka that run starts keeps committed offsets for longer than events."""

from __future__ import annotations

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from app.kafka.clients import KafkaClients
from app.settings import Settings

MINUTES = "offsets.retention.minutes"


async def test_offsets_are_kept_for_longer_than_events(settings: Settings) -> None:
    """A group that is away for a week would begin anew where events are kept for a month."""
    admin = KafkaClients.of(settings).admin()
    await admin.start()
    try:
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.BROKER, "1")])
    finally:
        await admin.close()
    ((code, _, _, _, entries),) = answer.resources
    kept = {entry[0]: entry[1] for entry in entries}[MINUTES]
    assert (code, int(kept) >= 366 * 24 * 60) == (0, True)
