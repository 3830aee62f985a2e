"""Wires what a worker does where a log is shorter than what it remembers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from app import metrics
from app.kafka.clients import KafkaClients
from app.kafka.diagnosis import diagnose
from app.kafka.outlasting import outlast
from app.kafka.refilling import ask_again, refiller
from app.names import Names
from app.settings import Settings
from app.stack.log_mending import events_mender
from tables.partials import Partials
from tables.totals import Totals


def keep_offsets(app: Any, settings: Settings, role: str, version: int | None = None) -> None:
    """Let the worker fill up logs that are too short; version: of the tables, for role count."""
    names, kafka = Names(settings.namespace, version or 1), KafkaClients.of(settings)

    async def mend(tp: Any, position: int) -> None:
        if tp.topic == names.events:
            mender = await events_mender(settings, version)
        else:
            mender = refiller(kafka, tp.topic, settings.counts_partitions, names.count_group)
        await mender.mend({tp.partition: position})

    async def fill_up(tp: Any, position: int) -> None:
        await outlast(lambda: mend(tp, position), f"{tp.topic}-{tp.partition} may be too short")

    def on_lost(tp: Any, count: int) -> None:
        if tp.topic == names.events:
            metrics.events_lost.labels(role).inc(count)

    async def look() -> str:
        topics = [*app.consumer.scheduler.batch_topics, *app.consumer.scheduler.batch_changelogs]
        return await diagnose(kafka, topics, max(1, settings.replication - 1))

    metrics.events_lost.labels(role)
    app.transport.hooks.diagnose = look
    app.transport.hooks.fill_up, app.transport.hooks.on_lost = fill_up, on_lost


def keep_table_offsets(
    app: Any, settings: Settings, names: Names, partials: Partials, totals: Totals
) -> None:
    """As keep_offsets(), for role count, which begins where its tables end."""
    keep_offsets(app, settings, "count", app.conf.version)
    by_topic = {
        names.events: {
            *(names.partials_changelog, names.judged_changelog),
            *(names.sessions_changelog, names.messages_changelog),
        },
        names.counts: {names.totals_changelog, names.uniques_changelog, names.alerts},
    }

    def changelogs_of(topic: str) -> set[str]:
        there = {table.changelog_topic.get_topic_name() for table in app.tables.values()}
        return there & by_topic.get(topic, set())

    app.transport.hooks.changelogs_of = changelogs_of
    app.transport.hooks.table_position.update(
        {names.events: partials.position, names.counts: totals.position}
    )
    app.transport.hooks.keep_position[names.events] = partials.keep_position
    app.transport.hooks.lose[names.events] = partials.lose


def all_again(settings: Settings, names: Names) -> Callable[[], Awaitable[None]]:
    """Return what lets all count workers send their rows again."""
    kafka = KafkaClients.of(settings)
    ask = partial(ask_again, kafka, names.events, settings.events_partitions)
    return partial(outlast, ask, "a topic of counts lacks rows, which cannot be asked for")
