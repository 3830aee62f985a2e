"""DuckDB over the files of the archive: the views archive and enriched."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterator
from pathlib import Path

import duckdb

from app.archive.files import Folders

THREAD_MB = 128  # each thread needs its own buffers, however little memory there is
COLUMNS = {
    "event_time": "timestamptz",
    "user_id": "varchar",
    "app_name": "varchar",
    "event_action": "varchar",
    "event_category": "varchar",
    "event_value": "double",
}
ENRICHED_COLUMNS = {**COLUMNS, "u_count": "bigint", "u_mp_ea": "varchar"}


@contextlib.contextmanager
def connected(folders: Folders, memory_mb: int, spill: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection with both views, over the files that are there now; times are UTC.

    No file of the archive is removed meanwhile. spill: folder for what does not fit into memory;
    made when needed, and left to the caller. Raises ArchiveBusyError.
    """
    threads = min(os.cpu_count() or 1, memory_mb // THREAD_MB)
    options: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{memory_mb}MB",
        "threads": max(1, threads),
        "temp_directory": str(spill),
        "preserve_insertion_order": False,  # else results are held back in memory
        "autoinstall_known_extensions": False,  # nothing from the network
        "autoload_known_extensions": False,
    }
    with folders.reading(), duckdb.connect(config=options) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("set enable_progress_bar = false")
        _make_view(connection, "archive", folders.archive, "date=*/*.parquet", COLUMNS)
        _make_view(connection, "enriched", folders.enriched, "*.parquet", ENRICHED_COLUMNS)
        yield connection


def _make_view(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    folder: Path,
    pattern: str,
    columns: dict[str, str],
) -> None:
    """Make a view of some files; without any, an empty one."""
    if any(folder.glob(pattern)):
        files = quoted(f"{glob.escape(str(folder))}/{pattern}")
        source = f"{', '.join(columns)} from read_parquet({files}, hive_partitioning = false)"
    else:
        nulls = (f"null::{kind} as {column}" for column, kind in columns.items())
        source = f"{', '.join(nulls)} where false"
    connection.execute(f"create view {name} as select {source}")


def quoted(text: str) -> str:
    """Return text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"
