"""Topics are made once, as they must be, and never silently taken as they are."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import InvalidReplicationFactorError, TopicAlreadyExistsError

from app.errors import StartError
from app.kafka.clients import KafkaClients
from app.kafka.topics import ensure_topics, is_starting
from app.monitor.figures import lag
from app.names import Names
from app.settings import Settings
from tests.conftest import MakeSettings
from tests.support.kafka_client import KafkaClient


async def config_of(kafka: KafkaClient, topic: str) -> dict[str, str]:
    """Return the settings of a topic as Kafka knows them."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.address)
    await admin.start()
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    await admin.close()
    return {entry[0]: entry[1] for entry in answers[0].resources[0][4]}


def test_a_broker_that_just_starts_is_waited_for_and_too_few_are_not() -> None:
    """In the words of Kafka 4.1."""
    said, code = "Unable to replicate the partition", InvalidReplicationFactorError.errno
    fenced = ("events", code, f"{said} 1 time(s): All brokers are currently fenced.")
    few = (
        "events",
        code,
        f"{said} 3 time(s): The target replication factor of 3 cannot be reached",
    )
    assert is_starting([("counts", 0, None), fenced])
    assert not is_starting([few, ("counts", TopicAlreadyExistsError.errno, "exists"), ("a", 0)])


async def test_two_that_make_the_topics_at_once_agree(
    kafka: KafkaClient, settings: Settings
) -> None:
    await asyncio.gather(ensure_topics(settings), ensure_topics(settings))
    assert await ensure_topics(settings) == []
    names = Names(settings.namespace)
    assert set(await kafka.ends(names.events)) == set(range(settings.events_partitions))
    assert set(await kafka.ends(names.rejected)) == {0}


async def test_events_are_kept_as_long_as_set_and_counts_compacted(
    kafka: KafkaClient, make_settings: MakeSettings
) -> None:
    settings = await make_settings(events_retention_hours=5, counts_partitions=2)
    await ensure_topics(settings)
    names = Names(settings.namespace)
    events = await config_of(kafka, names.events)
    assert (events["cleanup.policy"], events["retention.ms"]) == ("delete", "18000000")
    for topic in (names.counts, names.partials_changelog, names.totals_changelog):
        assert (await config_of(kafka, topic))["cleanup.policy"] == "compact"
    assert set(await kafka.ends(names.totals_changelog)) == {0, 1}
    assert set(await kafka.ends(names.partials_changelog)) == {0, 1, 2, 3}


async def test_another_number_of_partitions_stops_the_start(
    settings: Settings, topics: Names
) -> None:
    changed = settings.model_copy(update={"events_partitions": 5})
    with pytest.raises(StartError, match="EVENT_COUNTER_EVENTS_PARTITIONS") as caught:
        await ensure_topics(changed)
    assert f"{topics.events} has 4 partitions, not 5" in str(caught.value)


async def test_too_few_brokers_for_the_replicas_stop_the_start(make_settings: MakeSettings) -> None:
    with pytest.raises(StartError, match="replication factor"):
        await ensure_topics(await make_settings(replication=3))


@pytest.mark.parametrize("statistics", [True, False])
async def test_the_lag_names_the_topics_that_are_read(
    make_settings: MakeSettings, statistics: bool
) -> None:
    settings = await make_settings(statistics=statistics)
    await ensure_topics(settings)
    found = await lag(KafkaClients.of(settings), settings.namespace)
    names = Names(settings.namespace)
    read = [names.events, names.counts, *([names.uniques] if statistics else [])]
    assert found[names.count_group] == {f"{topic}-{p}": 0 for topic in read for p in range(4)}
