"""The tables of Postgres as files, all of one moment, and from files into an empty database.

COPY in its binary format, which Postgres of another version reads, too; packed, as a server sends
more than a disk takes.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import asyncpg
import msgspec

from app.stores.sql import load_queries
from app.stores.stored_positions import STORED

# Every table stands here or in LEFT_OUT; a test looks whether one is in neither.
COPIED = (
    "event",
    "sink_offsets",
    "event_messages",
    "bot_rule",
    "duplicate_rule",
    "forgotten",
    "forgotten_months",
    "base_cells",
    "base_sketches",
    "base_clicks",
    "base_offsets",
)
LEFT_OUT = {
    "applied_migrations": "made by the migrations",
    "event_summary": "may be ahead of event, and is never lowered: counted again from event",
    "ad_month": "written again from the tables, which keep months for good",
    "ad_month_positions": "of tables that are made anew",
    "summary_positions": "of tables that are made anew",
}
PACKED = 1  # of gzip: a core packs as fast as Postgres sends
ENDING = ".copy.gz"


class TableCopy(msgspec.Struct, frozen=True):
    """What one file holds. columns: in the order of the file."""

    name: str
    columns: list[str]
    rows: int


class DatabaseCopy(msgspec.Struct, frozen=True):
    """What the files of all tables hold.

    positions: by partition of `events`; all events below them are in event, and no other. cluster:
    that the offsets are of. months: the begin of each month that event has rows of. migrations: by
    which the tables were made.
    """

    positions: dict[int, int]
    cluster: str
    months: list[datetime]
    migrations: list[str]
    tables: list[TableCopy]
    stored: int  # events, ever, but for forgotten months

    @property
    def missing(self) -> int:
        """How many events were stored, and are not there."""
        return self.stored - self.events

    @property
    def events(self) -> int:
        """How many events there are."""
        return sum(table.rows for table in self.tables if table.name == "event")


async def copy_out(connection: asyncpg.Connection, folder: Path, topic: str) -> DatabaseCopy:
    """Write a file for each table, all as of one moment, into an empty folder.

    topic: the name of `events`. Raises OSError or asyncpg.PostgresError.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(load_queries()["event.hold"])
        positions, cluster = await stored_at(connection, topic)
        forgotten = await connection.fetchrow(load_queries()["base.forgotten"])
        return DatabaseCopy(
            positions,
            cluster,
            await _months(connection),
            await migrations_of(connection),
            [await _copy_out(connection, name, folder) for name in COPIED],
            await connection.fetchval(STORED, topic) - forgotten["rows"],
        )


async def _copy_out(connection: asyncpg.Connection, name: str, folder: Path) -> TableCopy:
    columns = await _columns(connection, name)
    query = f"select {_quoted(columns)} from {name}"  # noqa: S608 - names of our own tables
    with gzip.open(folder / f"{name}{ENDING}", "wb", compresslevel=PACKED) as file:
        status = await connection.copy_from_query(query, output=file, format="binary")
    return TableCopy(name, columns, int(status.rpartition(" ")[2]))


async def _months(connection: asyncpg.Connection) -> list[datetime]:
    found = await connection.fetch(
        "select distinct date_trunc('month', datetime, 'UTC') as month from event order by 1"
    )
    return [row["month"] for row in found]


async def copy_in(connection: asyncpg.Connection, folder: Path, found: DatabaseCopy) -> None:
    """Fill the tables, which are empty, and as they were when they were copied.

    In a transaction: all or nothing. found: what copy_out() wrote. Raises OSError or
    asyncpg.PostgresError.
    """
    await connection.execute("select make_event_partitions($1::timestamptz[])", found.months)
    for table in found.tables:
        await connection.execute(f"delete from {table.name}")  # noqa: S608 - noted by a start
        with gzip.open(folder / f"{table.name}{ENDING}", "rb") as file:
            status = await connection.copy_to_table(
                table.name, source=file, columns=table.columns, format="binary"
            )
        if int(status.rpartition(" ")[2]) != table.rows:
            raise OSError(f"{table.name}: {status} instead of {table.rows} rows")


async def sum_up(connection: asyncpg.Connection, types: list[str] | None) -> None:
    """Raise event_summary to what event says; raise asyncpg.PostgresError.

    types: those that are counted by name; None: all of them.
    """
    await connection.execute(load_queries()["summary.again"], types)


async def is_empty(connection: asyncpg.Connection) -> bool:
    """Return whether nothing was ever stored; without tables, too."""
    if await connection.fetchval("select to_regclass('sink_offsets') is null"):
        return True
    found: bool = await connection.fetchval(
        "select not exists (select from event) and not exists (select from sink_offsets)"
    )
    return found


async def migrations_of(connection: asyncpg.Connection) -> list[str]:
    """Return the names of the migrations that made the tables."""
    found = await connection.fetch("select name from applied_migrations order by name")
    return [row["name"] for row in found]


async def stored_at(connection: asyncpg.Connection, topic: str) -> tuple[dict[int, int], str]:
    """Return the next offset to store by partition, and the cluster that the offsets are of."""
    found = await connection.fetch(load_queries()["past.stored"], topic)
    cluster = max((row["cluster"] for row in found), default="")
    return {row["partition"]: row["next_offset"] for row in found}, cluster


async def _columns(connection: asyncpg.Connection, name: str) -> list[str]:
    found = await connection.fetch(
        "select attname::text as name from pg_attribute where attrelid = $1::text::regclass"
        " and attnum > 0 and not attisdropped and attgenerated = '' order by attnum",
        name,
    )
    return [row["name"] for row in found]


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
