"""`event-counter enrich`: the archive with figures of each user, into enriched/."""

from __future__ import annotations

import os
import time
from datetime import datetime

import click

from app.archive.enrich import OTHER_S, enrich
from app.archive.files import Folders
from app.cli.moments import Moment
from app.cli.running import tell_archive
from app.settings import Settings
from app.stack.data_dir import cannot_write


@click.command(name="enrich")
@click.option("--at", type=Moment(), help="Look back from T, RFC 3339; default: now.")
def command(at: datetime | None) -> None:
    """Write the archive with figures of each user to enriched/.

    u_count: events of the user in the last 3 hours before T. u_mp_ea: the user's most frequent
    event_action.
    """
    settings = Settings.from_env(os.environ)
    folders = Folders.of(settings)
    tell_archive(folders)
    started = time.monotonic()
    try:
        done = enrich(folders, at, settings.duckdb_memory_mb, wait_s=OTHER_S, on_wait=say_waiting)
    except OSError as exc:
        raise cannot_write(folders.archive.parent, exc) from exc
    seconds = time.monotonic() - started
    click.echo(f"enriched {done.rows} rows as of {done.at:%Y-%m-%dT%H:%M:%SZ} in {seconds:.1f} s")


def say_waiting() -> None:
    """Say why nothing happens."""
    click.echo("another enrich is running (role archive runs it, too); waiting for it", err=True)
