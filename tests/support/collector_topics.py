"""The topics of whoever sends events: a fourth of the partitions that all workers need."""

from __future__ import annotations

from app.kafka.topics import make_missing, topic_specs
from app.names import Names
from app.settings import Settings
from tests.support.kafka_client import KafkaClient


async def collector_topics(settings: Settings) -> Names:
    """Return the names of the topics, of which those of collectors and commands exist now.

    Each partition more costs Kafka when made, and at each start.
    """
    names = Names(settings.namespace)
    used = {names.events, names.rejected, names.alerts, names.replayed, names.places}
    specs = [spec for spec in topic_specs(settings) if spec.name in used]
    async with KafkaClient(settings.kafka).admin() as admin:
        await make_missing(admin, specs, settings.replication)
    return names
