"""`event-counter query "select ..."`: DuckDB SQL over the archive."""

from __future__ import annotations

import os
import sys

import click

from app.archive.files import Folders
from app.archive.query import run_query, show_csv, show_json, show_table
from app.cli.running import tell_archive
from app.settings import Settings


@click.command(name="query")
@click.argument("sql")
@click.option("--csv", "show", flag_value="csv", help="Comma-separated values, with a heading.")
@click.option("--json", "show", flag_value="json", help="An array with an object per row.")
def command(sql: str, show: str | None) -> None:
    """Run SQL over the views archive and enriched.

    One SELECT, in DuckDB's dialect; times are UTC.
    """
    settings = Settings.from_env(os.environ)
    folders = Folders.of(settings)
    tell_archive(folders)
    printers = {"csv": show_csv, "json": show_json}
    try:
        run_query(
            folders,
            sql,
            settings.duckdb_memory_mb,
            printers.get(show or "", show_table),
            sys.stdout,
        )
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has seen enough, for example head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
