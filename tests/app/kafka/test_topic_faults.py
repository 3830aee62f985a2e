"""Topics made beforehand, or changed later: what stops a start, what is only said."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from app.errors import StartError
from app.kafka.topic_faults import TopicSpec, TopicState, faults_of, said_together
from app.kafka.topics import ensure_topics, topic_specs
from app.names import Names
from app.settings import Settings
from tests.support.kafka_client import KafkaClient
from tests.support.running_copy import command_line

EVENTS = TopicSpec("events", 4, {"cleanup.policy": "delete", "retention.ms": "7200000"}, "SET")
COUNTS = TopicSpec("counts", 4, {"cleanup.policy": "compact"}, "SET")
DECISIONS = TopicSpec("decisions", 4, {"cleanup.policy": "delete", "retention.ms": "-1"})
HISTORY = TopicSpec("rejected", 4, EVENTS.config, keep=False)


@pytest.mark.parametrize(
    ("spec", "changes", "fatal", "said"),
    [
        (COUNTS, {"cleanup.policy": "delete"}, True, "rows would go.* cleanup.policy=compact$"),
        (COUNTS, {"cleanup.policy": "compact,delete"}, True, "has cleanup.policy=compact,delete"),
        (EVENTS, {"cleanup.policy": "compact"}, True, "without a key.* cleanup.policy=delete$"),
        (EVENTS, {"retention.ms": "1800000"}, True, "after 0.5 hours.* retention.ms=7200000$"),
        (DECISIONS, {"retention.ms": "7200000"}, True, "after 2 hours.* retention.ms=-1$"),
        (HISTORY, {"retention.ms": "1800000"}, False, "after 0.5 hours"),
        (EVENTS, {"retention.bytes": "1000"}, False, "whatever their age.* retention.bytes=-1$"),
        (EVENTS, {"min.insync.replicas": "3"}, True, "2 replicas.* min.insync.replicas=2$"),
        (
            COUNTS,
            {"max.message.bytes": "1000"},
            True,
            "larger.* max.message.bytes=1048576$",
        ),
    ],
)
def test_a_wrong_setting_is_named_with_what_to_type(
    spec: TopicSpec, changes: dict[str, str], fatal: bool, said: str
) -> None:
    (fault,) = faults_of(spec, TopicState(4, 2, spec.config | changes), 2)
    assert fault.fatal == fatal
    assert re.search(said, fault.text), fault.text
    assert f"--entity-name {spec.name} " in fault.text


@pytest.mark.parametrize(
    "config",
    [{}, {"retention.ms": "-1"}, {"retention.ms": "9999999999"}, {"message.timestamp.type": "x"}],
)
def test_what_is_kept_longer_or_not_known_is_no_fault(config: dict[str, str]) -> None:
    given = {"cleanup.policy": "delete", "retention.ms": "7200000"} if config else {}
    assert faults_of(EVENTS, TopicState(4, 3, given | config), 1) == []


def test_partitions_and_replicas_are_compared() -> None:
    found = faults_of(COUNTS, TopicState(5, 1), 3)
    assert [fault.fatal for fault in found] == [True, True]
    assert said_together(found[:1]) == "Topic counts has 5 partitions, not 4. Set SET=5"
    assert "has 1 replicas, not 3" in found[1].text


def test_what_grows_is_told_how_and_once() -> None:
    events, changelog = replace(EVENTS, grows=True), replace(COUNTS, grows=True)
    few = [*faults_of(events, TopicState(3, 1), 1), *faults_of(changelog, TopicState(3, 1), 1)]
    assert said_together(few) == (
        "Topic events has 3 partitions, not 4. Topic counts has 3 partitions, not 4. Set SET=3, or "
        "have all events counted for the new number: stop all workers and type event-counter grow"
    )
    (many,) = faults_of(events, TopicState(5, 1), 1)
    assert many.todo == "Set SET=5"


async def make(kafka: KafkaClient, name: str, partitions: int, **config: str) -> None:
    admin: Any = AIOKafkaAdminClient(bootstrap_servers=kafka.address)
    await admin.start()
    named = {key.replace("_", "."): value for key, value in config.items()}
    await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=named)])
    await admin.close()


async def test_topics_made_beforehand_stop_the_start_all_at_once(
    kafka: KafkaClient, settings: Settings
) -> None:
    names = Names(settings.namespace)
    await make(kafka, names.counts, 4, cleanup_policy="delete")
    await make(kafka, names.events, 4, retention_ms="60000")
    with pytest.raises(StartError) as caught:
        await ensure_topics(settings)
    for name in (names.counts, names.events):
        assert f"--entity-name {name} --add-config" in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_the_command_shows_makes_and_judges(kafka: KafkaClient, settings: Settings) -> None:
    given = {"kafka": settings.kafka, "namespace": settings.namespace}
    wanted = [spec.name for spec in topic_specs(settings)]
    await make(kafka, Names(settings.namespace).counts, 4, cleanup_policy="delete")

    async def ask(*options: str, **changes: str) -> tuple[int, dict[str, str]]:
        done = await asyncio.to_thread(
            command_line, "topics", "--json", *options, **{**given, **changes}
        )
        found = json.loads(done.stdout or '{"topics":[]}')["topics"]
        return done.returncode, {topic["name"]: topic["state"] for topic in found}

    code, states = await ask()
    assert (code, list(states)) == (1, wanted)
    assert set(states.values()) == {"missing", "wrong"}
    assert await ask("--create") == (1, {})  # the others are made, this one is named
    code, states = await ask()
    assert {name for name, state in states.items() if state != "ok"} == {
        Names(settings.namespace).counts
    }
    other = f"other{settings.namespace}"
    made, states = await ask("--create", namespace=other)
    assert (made, set(states.values())) == (0, {"ok"})
    offline, states = await ask(kafka="")
    assert (offline, set(states.values())) == (0, {"not looked at"})
    done = await asyncio.to_thread(command_line, "topics", **given)
    assert "cleanup.policy=delete: its rows would go" in done.stdout
