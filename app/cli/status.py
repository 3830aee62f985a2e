"""`event-counter status`: processes, addresses, lag, and how much was counted and stored."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import click

from app.errors import StartError
from app.kafka.clients import KafkaClients
from app.kafka.tables_version import current_version
from app.monitor.figures import counted, lag, stored
from app.settings import Settings
from app.stack.data_dir import read_run_file


@click.command(name="status")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def command(*, as_json: bool) -> None:
    """Show what runs, how far it is behind, and what it has counted."""
    settings = Settings.from_env(os.environ)
    found = asyncio.run(status_of(settings))
    click.echo(json.dumps(found) if as_json else as_text(found))


async def status_of(settings: Settings) -> dict[str, Any]:
    """Return the status; counted and stored are None while nobody answers.

    Raises StartError where neither a copy runs in the data directory nor a Kafka is configured.
    """
    running = read_run_file(settings.data_dir)
    kafka = running.get("kafka", settings.kafka)
    if not kafka:
        raise StartError(
            f"Nothing runs in {settings.data_dir.absolute()}. Start it with: event-counter run; "
            "or set EVENT_COUNTER_DATA_DIR to where it runs, or EVENT_COUNTER_KAFKA"
        )
    postgres = running.get("postgres", settings.postgres.get_secret_value())
    namespace = running.get("namespace", settings.namespace)
    urls = running.get("count_urls", settings.count_urls).split(",")
    asked = settings.model_copy(update={"kafka": kafka, "namespace": namespace})
    version = await current_version(asked)
    behind, events, rows = await asyncio.gather(
        lag(KafkaClients.of(asked), namespace, version), counted(urls), stored(postgres, namespace)
    )
    return {
        "processes": running.get("processes", []),
        "kafka": kafka,
        "postgres": postgres,
        "redis": running.get("redis", settings.redis.get_secret_value()),
        "http": running.get("http", f"http://{settings.http_host}:{settings.http_port}"),
        "lag": behind,
        "counted": events,
        "stored": rows,
    }


def as_text(found: dict[str, Any]) -> str:
    """Return the status for people."""
    lines = [f"{name:10}{found[name]}" for name in ("http", "kafka", "postgres", "redis")]
    lines += ["", f"{'process':12}{'pid':>8}{'port':>7}{'restarts':>10}"]
    lines += [
        f"{unit['name']:12}{unit['pid']:>8}{unit['port'] or '':>7}{unit['restarts']:>10}"
        for unit in found["processes"]
    ]
    lines += ["", f"{'group':36}{'partition':30}{'lag':>10}"]
    lines += [
        f"{group:36}{place:30}{count:>10}"
        for group, places in found["lag"].items()
        for place, count in places.items()
    ]
    unknown = "nobody answers"
    for name in ("counted", "stored"):
        lines.append(f"{name:10}{unknown if found[name] is None else found[name]}")
    return "\n".join(lines)
