"""`event-counter restore`: everything out of a backup, into an empty place."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click

from app.cli.console import TimedConsole
from app.cli.progress import ProgressLog
from app.cli.rebuild import rebuild_tables
from app.reconcile.manifest import Manifest, check_settings, read_manifest
from app.reconcile.restore import Restore
from app.settings import Settings
from app.stack.data_dir import restoring
from app.stack.parts import servers_alone


@click.command(name="restore")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--only-postgres", is_flag=True, help="Fill an empty database, and nothing else.")
def command(folder: Path, *, only_postgres: bool) -> None:
    """Put back the backup in FOLDER.

    The data directory, the database, Redis and the topics of the namespace must be empty. Servers
    without an address in the settings are started for the restore, as event-counter run does, and
    stopped at the end. All figures are then as of the backup, and counting continues with run.

    --only-postgres restores an empty database and nothing else: role store then reads from Kafka
    what came after the backup.
    """
    settings = Settings.from_env(os.environ)
    found = read_manifest(folder.absolute())
    check_settings(found, settings)
    console = TimedConsole()
    asyncio.run(restore(settings, folder.absolute(), found, console, only_postgres=only_postgres))


async def restore(
    settings: Settings,
    folder: Path,
    found: Manifest,
    console: TimedConsole,
    *,
    only_postgres: bool,
) -> None:
    """Return when everything is as it was; raise StartError or KafkaUnavailableError."""
    async with servers_alone(settings, console) as there:
        work = Restore(there, folder, found, console.step)
        async with work.alone():
            if only_postgres:
                await work.postgres()
            else:
                await _everything(there, work, console)
    console.step(f"restored {found.database.events} events. Go on with: event-counter run")


async def _everything(there: Settings, work: Restore, console: TimedConsole) -> None:
    await work.check()
    with restoring(there.data_dir):
        await work.run()
        console.step("counting all events again into new tables")
        with ProgressLog() as progress:
            done = await rebuild_tables(there, progress, alone=True)
    console.step(f"the tables are rebuilt: {done.events} records counted")
