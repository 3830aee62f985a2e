"""Which version of the tables counts, whatever else stands in the topic."""

from __future__ import annotations

from app.kafka.tables_version import KEY, TablesVersion, current_version, switch_version
from app.names import Names
from app.settings import Settings
from app.stack.prepare import prepare_topics
from tests.support.kafka_client import KafkaClient


async def test_a_record_that_is_no_version_changes_nothing(
    settings: Settings, kafka: KafkaClient
) -> None:
    await prepare_topics(settings)
    topic, version = Names(settings.namespace).tables_version, TablesVersion(settings)
    await kafka.send(topic, [b"junk"], key=KEY)
    assert await version.read() == 1
    await switch_version(settings, 3)
    assert await version.read() == 3
    for key, value in ((b"x", b"9"), (KEY, b"junk"), (KEY, b"-4"), (KEY, b"9" * 30)):
        await kafka.send(topic, [value], key=key)
        assert await version.read() == 3
        assert await current_version(settings) == 3
    await switch_version(settings, 4)
    assert await version.read() == 4
    await version.close()
