"""`event-counter enrich`: the archive with figures of each user, into enriched/."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime

import click

from app.archive.enrich import enrich
from app.archive.files import Folders
from app.cli.moments import Moment
from app.settings import Settings


@click.command(name="enrich")
@click.option("--at", type=Moment(), help="Look back from T, RFC 3339; default: now.")
def command(at: datetime | None) -> None:
    """Renew DATA_DIR/enriched/: the archive with u_count and u_mp_ea.

    u_count: events of the user in the last 3 hours before T. u_mp_ea: the user's most frequent
    event_action.
    """
    settings = Settings.from_env(os.environ)
    at = at or datetime.now(UTC)
    started = time.monotonic()
    done = enrich(Folders.of(settings), at, settings.duckdb_memory_mb)
    seconds = time.monotonic() - started
    click.echo(f"enriched {done.rows} rows as of {at:%Y-%m-%dT%H:%M:%SZ} in {seconds:.1f} s")
