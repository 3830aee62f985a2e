"""The topics: made before any worker starts, each with its settings spelled out.

Faust goes on without a word when a source topic is missing, and makes a changelog with the
broker's defaults; so neither is left to it.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)

from app.errors import KafkaAccessError, StartError, reason
from app.kafka.access import check_access
from app.kafka.clients import KafkaClients
from app.names import Names
from app.settings import Settings

HOUR_MS = 3_600_000
ALERTS_RETENTION_HOURS = 30 * 24
UNIQUES_RETENTION_HOURS = 7 * 24  # merged into a table: longer than any worker is away
VISIBLE_DEADLINE_S = 30
# Rows replace rows of the same key: compaction keeps the last of each. Smaller segments than
# the default (1 GB), because the newest one is never compacted and is read at each recovery.
COMPACT = {
    "cleanup.policy": "compact",
    "segment.bytes": "67108864",
    "min.cleanable.dirty.ratio": "0.3",
}


@dataclass(frozen=True)
class TopicSpec:
    """A topic as it must be; setting: what decides its partitions, for the message."""

    name: str
    partitions: int
    config: dict[str, str]
    setting: str = ""


def topic_specs(settings: Settings, version: int = 1) -> tuple[TopicSpec, ...]:
    """Return all topics of this namespace and version of the tables."""
    names = Names(settings.namespace, version)
    keep = _kept_for(settings.events_retention_hours)
    sources, merged = settings.events_partitions, settings.counts_partitions
    by_events, by_counts = "EVENT_COUNTER_EVENTS_PARTITIONS", "EVENT_COUNTER_COUNTS_PARTITIONS"
    statistics = (
        TopicSpec(names.uniques, merged, _kept_for(UNIQUES_RETENTION_HOURS), by_counts),
        TopicSpec(names.uniques_changelog, merged, COMPACT, by_counts),
        TopicSpec(names.judged_changelog, sources, COMPACT, by_events),
        TopicSpec(names.sessions_changelog, sources, COMPACT, by_events),
    )
    messages = TopicSpec(names.messages_changelog, sources, COMPACT, by_events)
    return (
        TopicSpec(names.events, sources, keep, by_events),
        TopicSpec(names.counts, merged, COMPACT, by_counts),
        TopicSpec(names.tables_version, 1, COMPACT),
        TopicSpec(names.rejected, 1, keep),
        TopicSpec(names.totals, 1, keep),
        TopicSpec(names.alerts, merged, _kept_for(ALERTS_RETENTION_HOURS), by_counts),
        TopicSpec(names.partials_changelog, sources, COMPACT, by_events),
        TopicSpec(names.totals_changelog, merged, COMPACT, by_counts),
        *(statistics if settings.statistics else ()),
        *((messages,) if settings.dedupe_hours else ()),
    )


def _kept_for(hours: int) -> dict[str, str]:
    return {"cleanup.policy": "delete", "retention.ms": str(hours * HOUR_MS)}


async def ensure_topics(settings: Settings, version: int = 1) -> list[str]:
    """Make the missing topics and return their names; safe when two do it at once.

    version: of the tables.
    Raises StartError where a topic has another number of partitions, or Kafka is away.
    """
    specs = topic_specs(settings, version)
    admin = KafkaClients.of(settings).admin()
    try:
        await admin.start()
        await check_access(admin, settings, version, settings.kafka_user or "this client")
        missing = [spec for spec in specs if spec.name not in await _partitions(admin, specs)]
        if missing:
            await _create(admin, missing, settings.replication)
        await _check(admin, specs)
    except (KafkaError, OSError) as exc:
        raise StartError(
            f"Cannot prepare the topics on Kafka at {settings.kafka}: {reason(exc)}. "
            "Check EVENT_COUNTER_KAFKA"
        ) from exc
    finally:
        await admin.close()
    return [spec.name for spec in missing]


async def _create(admin: AIOKafkaAdminClient, specs: list[TopicSpec], replication: int) -> None:
    """Ask for the topics; one that exists by now is fine."""
    # acks=all waits for these; one node may be away.
    safe = {"min.insync.replicas": str(max(1, replication - 1))}
    answer = await admin.create_topics(
        [
            NewTopic(spec.name, spec.partitions, replication, topic_configs=spec.config | safe)
            for spec in specs
        ]
    )
    for name, code, *words in answer.topic_errors:
        error = for_code(code)
        if error in (TopicAuthorizationFailedError, ClusterAuthorizationFailedError):
            raise KafkaAccessError(
                f"Kafka does not let us make topic {name}: grant Create on it, or let somebody who "
                "may type: event-counter topics --create"
            )
        if code and error is not TopicAlreadyExistsError:
            raise StartError(f"Kafka refused topic {name}: {error.__name__} {words}")


async def _check(admin: AIOKafkaAdminClient, specs: tuple[TopicSpec, ...]) -> None:
    """Wait until every topic is there with a leader everywhere, and compare its partitions."""
    until = time.monotonic() + VISIBLE_DEADLINE_S
    while len(found := await _partitions(admin, specs)) < len(specs):
        if time.monotonic() > until:
            absent = sorted({spec.name for spec in specs} - set(found))
            raise StartError(f"Kafka has no leader for {', '.join(absent)}")
        await asyncio.sleep(0.05)
    for spec in specs:
        if found[spec.name] != spec.partitions:
            raise StartError(
                f"Topic {spec.name} has {found[spec.name]} partitions, not {spec.partitions}; "
                f"set {spec.setting or 'EVENT_COUNTER_NAMESPACE'} to match: the counts kept so "
                "far belong to this number"
            )


async def _partitions(admin: AIOKafkaAdminClient, specs: tuple[TopicSpec, ...]) -> dict[str, int]:
    """Return the partition count by name, of topics that are ready."""
    found = {}
    for topic in await admin.describe_topics([spec.name for spec in specs]):
        partitions = topic["partitions"]
        if not topic["error_code"] and not any(part["error_code"] for part in partitions):
            found[topic["topic"]] = len(partitions)
    return found
