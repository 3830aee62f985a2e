"""`event-counter grow`: more partitions for `events`, and the tables counted again for them."""

from __future__ import annotations

import asyncio
import os
import time

import click

from app.cli.console import TimedConsole
from app.cli.progress import ProgressLog
from app.cli.rebuild import rebuild_tables, tables_words
from app.kafka.growing import add_partitions, is_grown
from app.kafka.tables_version import current_version
from app.settings import Settings
from app.stack.parts import servers_alone
from app.stack.prepare import prepare_logs


@click.command(name="grow")
def command() -> None:
    """Raise `events` to EVENT_COUNTER_EVENTS_PARTITIONS partitions.

    Then more workers can share the work. Stop all workers first: none may continue with the old
    number. All events are counted again, into tables for the new number; if this is interrupted,
    run it again. Servers without an address in the settings are started for it, as event-counter
    run does, and stopped at the end.
    """
    settings = Settings.from_env(os.environ)
    asyncio.run(grow(settings, TimedConsole()))


async def grow(settings: Settings, console: TimedConsole) -> None:
    """Return when the tables are counted; raise StartError or KafkaUnavailableError."""
    async with servers_alone(settings, console) as there:
        result = await _grow(there, console)
    console.step(result)


async def _grow(settings: Settings, console: TimedConsole) -> str:
    """Return what is said at the end."""
    wanted, version = settings.events_partitions, await current_version(settings)
    if await is_grown(settings, version):
        return f"events has {wanted} partitions already: there is nothing to do"
    console.step("waiting for the last workers to leave")
    await add_partitions(settings, version)
    await prepare_logs(settings)
    console.step(f"events has {wanted} partitions; counting all events again into new tables")
    started = time.monotonic()
    with ProgressLog() as progress:
        done = await rebuild_tables(settings, progress, alone=True)
    words, _ = tables_words(done)
    seconds = time.monotonic() - started
    return f"{words}, in {seconds:.1f} s. Start all workers with this number of partitions"
