"""`event-counter enrich`: the archive with figures of each user, into enriched/."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime

import click

from app.archive_files import Folders
from app.enrich import enrich
from app.errors import InvalidTimestampError
from app.settings import Settings
from app.shapes import parse_time


@click.command(name="enrich")
@click.option("--at", "moment", metavar="T", help="Look back from T, RFC 3339; default: now.")
def command(moment: str | None) -> None:
    """Renew DATA_DIR/enriched/: the archive with u_count and u_mp_ea.

    u_count: events of the user in the last 3 hours before T. u_mp_ea: the user's most frequent
    event_action.
    """
    settings = Settings.from_env(os.environ)
    at = datetime.now(UTC)
    if moment is not None:
        try:
            at = parse_time(moment, "T")
        except InvalidTimestampError as exc:
            raise click.BadParameter(f"{exc}. {exc.hint}", param_hint="--at") from exc
    started = time.monotonic()
    done = enrich(Folders.of(settings), at, settings.duckdb_memory_mb)
    seconds = time.monotonic() - started
    click.echo(f"enriched {done.rows} rows as of {at:%Y-%m-%dT%H:%M:%SZ} in {seconds:.1f} s")
