"""The topics of whoever sends events: a fourth of the partitions that all workers need."""

from __future__ import annotations

from aiokafka.admin import NewTopic
from aiokafka.errors import NoError, TopicAlreadyExistsError, for_code

from app.kafka.topics import topic_specs
from app.names import Names
from app.settings import Settings
from tests.support.kafka_client import KafkaClient
from tests.support.waiting import wait_until


async def collector_topics(settings: Settings) -> Names:
    """Return the names of the topics, of which those of collectors and commands exist now.

    As ensure_topics makes them: each partition more costs Kafka when made, and at each start.
    """
    names = Names(settings.namespace)
    used = {names.events, names.rejected, names.alerts, names.replayed, names.places}
    specs = [spec for spec in topic_specs(settings) if spec.name in used]
    wanted = [NewTopic(spec.name, spec.partitions, 1, topic_configs=spec.config) for spec in specs]
    async with KafkaClient(settings.kafka).admin() as admin:
        answer = await admin.create_topics(wanted)
        errors = {for_code(code) for _, code, *_ in answer.topic_errors}
        assert errors <= {NoError, TopicAlreadyExistsError}, errors

        async def not_ready() -> list[str]:
            found = await admin.describe_topics([*used])
            return [
                topic["topic"]
                for topic in found
                if topic["error_code"] or any(part["error_code"] for part in topic["partitions"])
            ]

        await wait_until(not_ready, [])
    return names
