"""`event-counter backup`: a copy of everything that cannot be made again, while events flow."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import click

from app.archive.files import Folders
from app.cli.progress import ProgressLog
from app.cli.running import tell_archive, with_servers
from app.kafka.clients import KafkaClients
from app.kafka.watermarks import Watermarks
from app.reconcile.backup import Backup
from app.reconcile.manifest import Manifest
from app.settings import Settings


@click.command(name="backup")
@click.argument("folder", type=click.Path(path_type=Path))
def command(folder: Path) -> None:
    """Copy everything into FOLDER while events flow.

    FOLDER must be new or empty. The backup holds Postgres, the archive, and the topics that cannot
    be recomputed, all as of one moment. It has no addresses or secrets: keep the environment.
    """
    settings = with_servers(Settings.from_env(os.environ), "kafka", "postgres")
    tell_archive(Folders.of(settings))
    started = time.monotonic()
    with ProgressLog() as progress:
        found = asyncio.run(backup(settings, folder.absolute(), progress))
    offsets = ", ".join(f"{part}:{at}" for part, at in sorted(found.database.positions.items()))
    click.echo(
        f"backed up {found.database.events} events, up to {offsets or 'nothing'}, "
        f"in {time.monotonic() - started:.1f} s"
    )


async def backup(settings: Settings, folder: Path, progress: ProgressLog) -> Manifest:
    """Return what the backup says of itself."""
    async with Watermarks(KafkaClients.of(settings)) as kafka:
        return await Backup(settings, kafka, folder, progress.say).run()
