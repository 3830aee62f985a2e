"""`event-counter counters`: what a counters.toml would do, and the end of a counter."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from time import time

import click

from app.cli.running import with_servers
from app.counting.declared import Declared
from app.counting.registry import Drop, Registry, left_over, to_declare
from app.errors import StartError
from app.kafka.counter_log import decide, decided
from app.reconcile.own_sample import SAMPLE_MAX, newest, rows_a_day
from app.settings import Settings
from app.text import printable
from app.wiring.own_counters import (
    changed_error,
    declared_counter,
    load_counters,
    numbered_counters,
)


@click.group(name="counters")
def command() -> None:
    """Counters of your own, which EVENT_COUNTER_COUNTERS declares."""


@command.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def check(file: Path) -> None:
    """Say what a start with FILE would do; exit with 1 if it would stop."""
    given = Settings.from_env(os.environ).model_copy(update={"counters": str(file)})
    declared, found = load_counters(given), with_servers(given, "kafka")
    registry = asyncio.run(decided(found))
    for line in [*effects(given, declared, registry), *costs(found)]:
        click.echo(printable(line))


def effects(settings: Settings, declared: Sequence[Declared], registry: Registry) -> list[str]:
    """Return a line for each counter; raise SettingsError where one has changed its meaning."""
    try:
        new = {one.name for one in to_declare(declared, registry)}
    except ValueError as exc:
        raise changed_error(settings, exc) from exc
    said = [
        f"{one.name}: {'begins with the next start' if one.name in new else 'goes on'}. "
        f"{one.description or one.meaning.described()}"
        for one in declared
    ]
    dropped = "is not in the file but still counted; to stop: event-counter counters drop"
    return said + [f"{name}: {dropped} {name}" for name in left_over(declared, registry)]


def costs(settings: Settings) -> list[str]:
    """Return a line for each counter, by the newest events; raise StartError."""
    if not (dsn := settings.postgres.get_secret_value()):
        return ["rows a day: unknown, because EVENT_COUNTER_POSTGRES is empty"]
    events = asyncio.run(newest(dsn))
    specs = [one.meaning.spec(number, one.name, "") for number, one in numbered_counters(settings)]
    made = rows_a_day(specs, events, time())
    most = "" if len(events) < SAMPLE_MAX else "at most "
    said = [f"{name}: {most}{rows:,} rows a day" for name, rows in made.items()]
    return [*said, f"rows a day: of tables, by the newest {len(events):,} events of the last 24 h"]


@command.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def drop(name: str, *, yes: bool) -> None:
    """End the counter NAME and delete everything that it counted.

    Remove it from the file first. The count workers restart without it.
    """
    settings = with_servers(Settings.from_env(os.environ), "kafka")
    registry = asyncio.run(decided(settings))
    known = declared_counter(registry, name)
    if any(one.name == name and one.meaning == known.meaning for one in load_counters(settings)):
        raise StartError(
            f"{name} is in {settings.counters}, and would start again: remove it there first"
        )
    if not yes:
        click.confirm(f"Delete {name} and all that it counted?", abort=True)
    asyncio.run(decide(settings, Drop(name)))
    click.echo(f"{name} is dropped; its rows are deleted within minutes")
