"""The topics of a Kafka that is ours alone follow the settings, where those were changed.

Of a Kafka that others run nothing is changed: see app.kafka.topics.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

from app.errors import StartError
from app.kafka.altering import alter
from app.kafka.clients import KafkaClients, kafka_away
from app.kafka.topic_faults import FOR_GOOD, HOUR_MS, RETENTION, Change, changes_of
from app.kafka.topics import VISIBLE_DEADLINE_S, topic_specs, topics_there
from app.kafka.watermarks import Offsets, Watermarks
from app.names import Names
from app.settings import Settings

Stored = Mapping[str, Offsets]  # by group: below which offset it has everything, where it says so
Said = TypeVar("Said", bound=Hashable)


async def fit_topics(settings: Settings, version: int) -> list[str]:
    """Change all that deletes nothing which somebody may have to read; return a line for each.

    version: of the tables. Raises StartError where Kafka refuses it, or KafkaUnavailableError.
    """
    changes = [one for one in await _changes(settings, version) if not one.shortens]
    return await _make(settings, version, changes)


async def shorten_topics(
    settings: Settings, version: int, ask_stored: Callable[[], Awaitable[Stored]]
) -> list[str]:
    """Shorten retentions where all that would go was read; return a line for each, as above.

    What one setting decides goes together: `replay` may need what was rejected as long as events.
    ask_stored: returns what is known of groups beside their commits; asked where it matters.
    """
    changes = [one for one in await _changes(settings, version) if one.shortens]
    if not changes:
        return []
    readers, unread, stored = (
        _readers(settings, version),
        dict[str, list[str]](),
        await ask_stored(),
    )
    async with Watermarks(KafkaClients.of(settings)) as kafka:
        for change in changes:
            found = await _unread(kafka, change, readers.get(change.topic.name, ()), stored)
            unread.setdefault(_decided_by(change), []).extend(found)
    due = [one for one in changes if not unread[_decided_by(one)]]
    held = _topics_by(
        lambda one: (_decided_by(one), _shown(one, one.was), _shown(one, one.right)),
        (one for one in changes if unread[_decided_by(one)]),
    )
    said = [
        f"retention of {topics} stays {was}: {', '.join(unread[by])} older than {right}. "
        "The next start looks again"
        for (by, was, right), topics in held.items()
    ]
    return [*await _make(settings, version, due), *said]


def _topics_by(of: Callable[[Change], Said], changes: Iterable[Change]) -> dict[Said, str]:
    """Return the names of topics by what is said of them together."""
    names = defaultdict[Said, list[str]](list)
    for one in changes:
        names[of(one)].append(one.topic.name)
    return {said: ", ".join(topics) for said, topics in names.items()}


def _decided_by(change: Change) -> str:
    return change.topic.kept_by or change.topic.name


def _readers(settings: Settings, version: int) -> dict[str, list[str]]:
    """Return the groups that must have read a topic before its records go."""
    names = Names(settings.namespace, version)
    return {
        names.events: [names.count_group, names.store_group, names.archive_group],
        names.uniques: [names.count_group],
        names.alerts: [names.webhook_group] if settings.webhook_url else [],
    }


async def _unread(
    kafka: Watermarks, change: Change, groups: Sequence[str], stored: Stored
) -> list[str]:
    """Return what is said of each group that has not read what would go."""
    topic, moment_ms = change.topic.name, int(time.time() * 1000) - int(change.right)
    # Kafka deletes from the begin, and nothing from the first record on that is young enough.
    kept, begins = await kafka.since(topic, moment_ms), await kafka.begins(topic)
    found = []
    for group in groups:
        read, said = await kafka.committed(group, topic), stored.get(group, {})
        reached = {p: max(begins[p], min(at, said.get(p, at))) for p, at in read.items()}
        if behind := sum(max(0, kept[p] - at) for p, at in reached.items()):
            found.append(f"{group} has not read {behind} records")
    return found


async def _changes(settings: Settings, version: int) -> list[Change]:
    with kafka_away():
        there = await topics_there(settings, version)
    return [
        change
        for spec in topic_specs(settings, version)
        if spec.name in there
        for change in changes_of(spec, there[spec.name], settings.replication)
    ]


async def _seen(settings: Settings, version: int, made: Sequence[Change]) -> None:
    """Wait until the broker goes by changes: its controller takes them, and tells it of them."""
    until = time.monotonic() + VISIBLE_DEADLINE_S
    while left := [one for one in await _changes(settings, version) if one in made]:
        if time.monotonic() > until:
            topics = ", ".join(sorted({one.topic.name for one in left}))
            raise StartError(f"Kafka does not go by the settings that it took for {topics}")
        await asyncio.sleep(0.05)


async def _make(settings: Settings, version: int, changes: Sequence[Change]) -> list[str]:
    """Make changes; return a line for all that are alike."""
    if not changes:
        return []
    admin = KafkaClients.of(settings).admin()
    try:
        with kafka_away():
            await admin.start()
            await alter(admin, changes)
    finally:
        await admin.close()
    await _seen(settings, version, changes)
    alike = _topics_by(
        lambda one: (
            "retention" if one.name == RETENTION else one.name,
            f"{_shown(one, one.was)} -> {_shown(one, one.right)}",
        ),
        changes,
    )
    return [f"{name} of {topics}: {words}" for (name, words), topics in alike.items()]


def _shown(change: Change, value: str) -> str:
    if change.name != RETENTION:
        return value
    return "for good" if value == FOR_GOOD else f"{int(value) / HOUR_MS:g} h"
