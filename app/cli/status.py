"""`event-counter status`: processes, addresses, lag, and how much was counted and stored."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable
from typing import Any

import click

from app.cli.running import Servers, find_servers, tell_servers, text_of
from app.cli.tables import print_table
from app.errors import CounterError
from app.kafka.clients import KafkaClients
from app.kafka.tables_version import current_version
from app.monitor.figures import counted, lag, stored
from app.settings import Settings
from app.stack.data_dir import read_run_file
from app.stack.workers import reached_at
from app.text import printable, without_password

KAFKA_S = 10.0  # it answers in milliseconds, or not at all
ADDRESSES = ("http", "kafka", "postgres", "redis")


@click.command(name="status")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@click.option("--secrets", is_flag=True, help="Show the passwords in the addresses.")
def command(*, as_json: bool, secrets: bool) -> None:
    """Show what runs, how far it is behind, and what it has counted.

    Passwords are hidden, except in --json written to a pipe or a file.
    """
    found = find_servers(Settings.from_env(os.environ))
    tell_servers(found, "kafka", "postgres", "redis", "count_urls")
    status = asyncio.run(status_of(found))
    if not secrets and not (as_json and not sys.stdout.isatty()):
        status |= {name: without_password(status[name]) for name in ADDRESSES}
    if as_json:
        click.echo(json.dumps(status))
    else:
        show(status)


async def status_of(found: Servers) -> dict[str, Any]:
    """Return the status; what nobody tells is None, and "unknown" says why."""
    settings = found.settings
    running = read_run_file(settings.data_dir)
    if running.get("kafka") != settings.kafka:  # another counter's
        running = {}
    urls = settings.count_urls.split(",")
    postgres = settings.postgres.get_secret_value()
    behind, events, rows = await asyncio.gather(
        _or_why(_lag(settings)),
        _or_why(counted(urls), f"no count worker answers at {settings.count_urls}"),
        _or_why(stored(postgres, settings.namespace), "Postgres or its tables do not answer"),
    )
    told = {"lag": behind, "counted": events, "stored": rows}
    unknown = {name: why for name, (value, why) in told.items() if value is None}
    return {
        "processes": running.get("processes", []),
        "kafka": settings.kafka,
        "postgres": postgres,
        "redis": text_of(settings, "redis"),
        "http": running.get("http", reached_at(settings.http_host, settings.http_port)),
        **{name: value for name, (value, _) in told.items()},
        **({"unknown": unknown} if unknown else {}),
    }


async def _lag(settings: Settings) -> dict[str, dict[str, int]]:
    version = await current_version(settings)
    return await lag(KafkaClients.of(settings), settings.namespace, version)


async def _or_why(asked: Awaitable[Any], why: str = "") -> tuple[Any, str]:
    """Return the answer and nothing, or None and why there is none."""
    try:
        async with asyncio.timeout(KAFKA_S):
            answer = await asked
    except TimeoutError:
        return None, why or f"no answer within {KAFKA_S:.0f} s"
    except CounterError as exc:
        return None, str(exc)
    return answer, "" if answer is not None else why


def show(status: dict[str, Any]) -> None:
    """Print the status for people."""
    for name in ADDRESSES:
        click.echo(f"{name:10}{printable(status[name])}")
    click.echo()
    heads = ("process", "pid", "port", "restarts")
    units = [[unit["name"], *(unit[head] for head in heads[1:])] for unit in status["processes"]]
    print_table(heads, units, right=heads[1:])
    click.echo()
    if status["lag"] is not None:
        rows = [
            (group, place, count)
            for group, places in status["lag"].items()
            for place, count in places.items()
        ]
        print_table(("group", "partition", "lag"), rows, right=("lag",))
        click.echo()
    unknown = status.get("unknown", {})
    for name in ("lag", "counted", "stored"):
        if name in unknown:
            click.echo(f"{name:10}unknown: {printable(unknown[name])}")
        elif name != "lag":
            click.echo(f"{name:10}{status[name]}")
