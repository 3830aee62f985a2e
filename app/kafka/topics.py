"""The topics: made before any worker starts, each with its settings spelled out.

Faust goes on without a word when a source topic is missing, and makes a changelog with the
broker's defaults; so neither is left to it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    InvalidReplicationFactorError,
    KafkaError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)

from app.errors import KafkaAccessError, StartError, reason
from app.kafka.access import check_access
from app.kafka.clients import KafkaClients
from app.kafka.topic_faults import (
    HOUR_MS,
    LOOKED_AT,
    TopicSpec,
    TopicState,
    faults_of,
    said_together,
)
from app.names import Names
from app.settings import Settings

log = logging.getLogger(__name__)

ALERTS_RETENTION_HOURS = 30 * 24
UNIQUES_RETENTION_HOURS = 7 * 24  # merged into a table: longer than any worker is away
VISIBLE_DEADLINE_S = 30
FENCED, FENCED_S = "fenced", 0.2  # what Kafka says, and until it is asked again
# Rows replace rows of the same key: compaction keeps the last of each. Smaller segments than
# the default (1 GB), because the newest one is never compacted and is read at each recovery.
COMPACT = {
    "cleanup.policy": "compact",
    "segment.bytes": "67108864",
    "min.cleanable.dirty.ratio": "0.3",
}
# Its order decides, which compaction would change; some bytes a counter, a partition, and a key
# of those with most_keys.
FOR_GOOD = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}


def topic_specs(settings: Settings, version: int = 1) -> tuple[TopicSpec, ...]:
    """Return all topics of this namespace and version of the tables."""
    names = Names(settings.namespace, version)
    keep = _kept_for(settings.events_retention_hours)
    sources, merged = settings.events_partitions, settings.counts_partitions
    by_events, by_counts = "EVENT_COUNTER_EVENTS_PARTITIONS", "EVENT_COUNTER_COUNTS_PARTITIONS"
    kept_by = "EVENT_COUNTER_EVENTS_RETENTION_HOURS"
    statistics = (
        TopicSpec(names.uniques, merged, _kept_for(UNIQUES_RETENTION_HOURS), by_counts),
        TopicSpec(names.uniques_changelog, merged, COMPACT, by_counts),
        TopicSpec(names.judged_changelog, sources, COMPACT, by_events, grows=True),
        TopicSpec(names.sessions_changelog, sources, COMPACT, by_events, grows=True),
    )
    messages = TopicSpec(names.messages_changelog, sources, COMPACT, by_events, grows=True)
    return (
        TopicSpec(names.events, sources, keep, by_events, grows=True, kept_by=kept_by),
        TopicSpec(names.counts, merged, COMPACT, by_counts),
        TopicSpec(names.tables_version, 1, COMPACT),
        TopicSpec(names.decisions, 1, FOR_GOOD),
        TopicSpec(names.rejected, 1, keep, keep=False, kept_by=kept_by),
        TopicSpec(names.replayed, 1, COMPACT),
        TopicSpec(names.places, 1, COMPACT),
        TopicSpec(names.totals, 1, keep, keep=False, kept_by=kept_by),
        TopicSpec(names.alerts, merged, _kept_for(ALERTS_RETENTION_HOURS), by_counts),
        TopicSpec(names.partials_changelog, sources, COMPACT, by_events, grows=True),
        TopicSpec(names.totals_changelog, merged, COMPACT, by_counts),
        *(statistics if settings.statistics else ()),
        *((messages,) if settings.dedupe_hours else ()),
    )


def _kept_for(hours: int) -> dict[str, str]:
    return {"cleanup.policy": "delete", "retention.ms": str(hours * HOUR_MS)}


async def ensure_topics(settings: Settings, version: int = 1, *, access: bool = True) -> list[str]:
    """Make the missing topics and return their names; safe when two do it at once.

    version: of the tables. access: whether the role's rights are looked at, too.
    Raises StartError where a topic is not as it must be, or Kafka is away.
    """
    specs = topic_specs(settings, version)
    admin = KafkaClients.of(settings).admin()
    try:
        await admin.start()
        if access:
            await check_access(admin, settings, version, settings.kafka_user or "this client")
        missing = await make_missing(admin, specs, settings.replication)
    except (KafkaError, OSError) as exc:
        raise StartError(
            f"Cannot prepare the topics on Kafka at {settings.kafka}: {reason(exc)}. "
            "Check EVENT_COUNTER_KAFKA"
        ) from exc
    finally:
        await admin.close()
    return [spec.name for spec in missing]


async def make_missing(
    admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec], replication: int
) -> list[TopicSpec]:
    """Make those of some topics that are not there; return them.

    Raises StartError where a topic is not as it must be, KafkaError or OSError where Kafka is away.
    """
    there = await _shapes(admin, specs)
    missing = [spec for spec in specs if spec.name not in there]
    if missing:
        await _create(admin, missing, replication)
    await _check(admin, specs, replication)
    return missing


async def _create(admin: AIOKafkaAdminClient, specs: list[TopicSpec], replication: int) -> None:
    """Ask for the topics; one that exists by now is fine, and brokers that just start may wait."""
    # acks=all waits for these; one node may be away.
    safe = {"min.insync.replicas": str(max(1, replication - 1))}
    wanted = [
        NewTopic(spec.name, spec.partitions, replication, topic_configs=spec.config | safe)
        for spec in specs
    ]
    until = time.monotonic() + VISIBLE_DEADLINE_S
    answer = await admin.create_topics(wanted)
    while is_starting(answer.topic_errors) and time.monotonic() < until:
        await asyncio.sleep(FENCED_S)
        answer = await admin.create_topics(wanted)
    for name, code, *words in answer.topic_errors:
        error = for_code(code)
        if error in (TopicAuthorizationFailedError, ClusterAuthorizationFailedError):
            raise KafkaAccessError(
                f"Kafka does not let us make topic {name}: grant Create on it, or have somebody "
                "who may run: event-counter topics --create"
            )
        if code and error is not TopicAlreadyExistsError:
            raise StartError(f"Kafka refused topic {name}: {error.__name__} {words}")


def is_starting(errors: Sequence[tuple[Any, ...]]) -> bool:
    """Whether brokers are there and may not lead yet: fenced until their first heartbeat counts."""
    return any(
        for_code(code) is InvalidReplicationFactorError and FENCED in str(words)
        for _, code, *words in errors
    )


async def topics_there(settings: Settings, version: int = 1) -> dict[str, TopicState]:
    """Return the topics that are there by name; raise KafkaError or OSError."""
    specs = topic_specs(settings, version)
    clients = KafkaClients.of(settings)
    await clients.knock()
    admin = clients.admin()
    try:
        await admin.start()
        return await _states(admin, await _shapes(admin, specs))
    finally:
        await admin.close()


async def _check(admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec], replication: int) -> None:
    """Wait until every topic is there with a leader everywhere, and look at how it is."""
    until = time.monotonic() + VISIBLE_DEADLINE_S
    while len(found := await _shapes(admin, specs)) < len(specs):
        if time.monotonic() > until:
            absent = sorted({spec.name for spec in specs} - set(found))
            raise StartError(f"Kafka has no leader for {', '.join(absent)}")
        await asyncio.sleep(0.05)
    states = await _states(admin, found)
    faults = [fault for spec in specs for fault in faults_of(spec, states[spec.name], replication)]
    for fault in faults:
        if not fault.fatal:
            log.warning("%s", fault.text)
    if fatal := [fault for fault in faults if fault.fatal]:
        raise StartError(said_together(fatal))


async def _shapes(
    admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec]
) -> dict[str, tuple[int, int]]:
    """Return (partitions, replicas) by name, of topics that are ready."""
    found = {}
    for topic in await admin.describe_topics([spec.name for spec in specs]):
        partitions = topic["partitions"]
        if not topic["error_code"] and not any(part["error_code"] for part in partitions):
            replicas = min(len(part["replicas"]) for part in partitions)
            found[topic["topic"]] = len(partitions), replicas
    return found


async def _states(
    admin: AIOKafkaAdminClient, shapes: dict[str, tuple[int, int]]
) -> dict[str, TopicState]:
    """Return the topics with their settings, where we may see them."""
    if not shapes:
        return {}
    looked_at = dict.fromkeys(LOOKED_AT)  # all of them are ten times as many
    asked = [ConfigResource(ConfigResourceType.TOPIC, name, looked_at) for name in shapes]
    configs: dict[str, dict[str, str]] = {}
    for answer in await admin.describe_configs(asked):
        for code, _, _, name, entries in answer.resources:
            if code:
                log.warning(
                    "cannot read the settings of topic %s: %s", name, for_code(code).__name__
                )
            else:
                configs[name] = {entry[0]: entry[1] for entry in entries}
    return {name: TopicState(*shape, configs.get(name, {})) for name, shape in shapes.items()}
