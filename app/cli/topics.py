"""`event-counter topics`: every topic as it must be, and as it is."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import click

from app.cli.tables import print_table
from app.errors import StartError
from app.kafka.clients import kafka_away
from app.kafka.tables_version import FIRST, current_version
from app.kafka.topic_faults import TopicSpec, TopicState, faults_of, said_together
from app.kafka.topics import ensure_topics, topic_specs, topics_there
from app.settings import Settings
from app.stack.data_dir import read_run_file

UNKNOWN, MISSING, RIGHT, WRONG = "not looked at", "missing", "ok", "wrong"


@click.command(name="topics")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@click.option("--create", is_flag=True, help="Create the missing ones.")
def command(*, as_json: bool, create: bool) -> None:
    """Show every topic: partitions, settings, and what is wrong.

    For cluster operators: without EVENT_COUNTER_KAFKA it shows what to create. Exits with 1 if a
    topic is missing or wrong.
    """
    settings = Settings.from_env(os.environ)
    running = read_run_file(settings.data_dir)
    if not settings.kafka and "kafka" in running:
        changes = {"kafka": running["kafka"], "namespace": running["namespace"]}
        settings = settings.model_copy(update=changes)
    if create and not settings.kafka:
        raise StartError(
            "EVENT_COUNTER_KAFKA is empty: set it to the Kafka where the topics should be created"
        )
    found = asyncio.run(look(settings, create=create))
    if as_json:
        click.echo(json.dumps({"topics": found}))
    else:
        show(found)
    if any(topic["state"] in (MISSING, WRONG) for topic in found):
        sys.exit(1)


async def look(settings: Settings, *, create: bool = False) -> list[dict[str, Any]]:
    """Return what is said of each topic; raise StartError or KafkaUnavailableError."""
    version, there = FIRST, None
    if settings.kafka:
        version = await current_version(settings)
        if create:
            await ensure_topics(settings, version, access=False)
        with kafka_away():
            there = await topics_there(settings, version)
    return [said_of(spec, there, settings.replication) for spec in topic_specs(settings, version)]


def said_of(
    spec: TopicSpec, there: dict[str, TopicState] | None, replication: int
) -> dict[str, Any]:
    """Return a topic as JSON has it; there: None where Kafka was not asked."""
    state = UNKNOWN if there is None else MISSING
    faults = []
    if there is not None and spec.name in there:
        faults = faults_of(spec, there[spec.name], replication)
        state = WRONG if any(fault.fatal for fault in faults) else RIGHT
    return {
        "name": spec.name,
        "partitions": spec.partitions,
        "replication": replication,
        "config": spec.config,
        "state": state,
        "faults": [said_together([fault]) for fault in faults],
    }


def show(found: list[dict[str, Any]]) -> None:
    """Print them for people."""
    rows = [
        (
            topic["name"],
            topic["partitions"],
            topic["replication"],
            " ".join(f"{name}={value}" for name, value in topic["config"].items()),
            topic["state"],
        )
        for topic in found
    ]
    heads = ("topic", "partitions", "replicas", "settings", "state")
    print_table(heads, rows, right=("partitions", "replicas"))
    for topic in found:
        for fault in topic["faults"]:
            click.echo(f"{fault}.")
