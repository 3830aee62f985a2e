"""The SQL files: queries by name, and migrations that bring a database up to date."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

import asyncpg

from app.errors import SqlMissingError, StartError
from app.stores.connect import connect_postgres

LOCK = "select pg_advisory_xact_lock(hashtext('event_counter.migrations'))"
APPLIED = "create table if not exists applied_migrations (name text primary key, at timestamptz)"


@cache
def load_queries() -> dict[str, str]:
    """Return {"summary.upsert": text}; raise SqlMissingError if there is none."""
    return load(files("sql") / "queries")


def load(folder: Traversable) -> dict[str, str]:
    """Return the texts of the .sql files of a folder by name without .sql, sorted."""
    found = sorted((f.name, f) for f in folder.iterdir()) if folder.is_dir() else []
    texts = {n.removesuffix(".sql"): f.read_text("utf-8") for n, f in found if n.endswith(".sql")}
    if not texts:
        raise SqlMissingError(f"no SQL in {folder}")
    return texts


def load_migrations() -> dict[str, str]:
    """Return the migrations by name, oldest first: the tenth of a day after its ninth."""
    return dict(sorted(load(files("sql") / "migrations").items(), key=_numbered))


def _numbered(migration: tuple[str, str]) -> tuple[list[int], str]:
    """Return (the numbers that a name begins with, name), for example of 2026-11-29-10-base."""
    name = migration[0]
    return [int(part) for part in name.split("-")[:4]], name


async def migrate(dsn: str) -> list[str]:
    """Create or update the tables of an existing database; return the names of what it applied.

    Does nothing to one that is up to date. Safe when several do it at once.
    """
    connection = await connect_postgres(dsn, "event-counter start")
    try:
        return await migrate_over(connection)
    finally:
        await connection.close()


async def migrate_over(
    connection: asyncpg.Connection, only: Collection[str] | None = None
) -> list[str]:
    """As migrate(), over a connection that is in no transaction; only: no other migrations."""
    migrations = load_migrations()
    if only is not None:
        migrations = {name: text for name, text in migrations.items() if name in only}
    async with connection.transaction():
        missing = await _missing(connection, migrations)
    if not missing:
        return []  # the usual case takes no lock and needs no right to create anything
    async with connection.transaction():
        await connection.execute(LOCK)
        await connection.execute(APPLIED)
        missing = await _missing(connection, migrations)
        for name in missing:
            await connection.execute(migrations[name])
            await connection.execute("insert into applied_migrations values ($1, now())", name)
    return missing


async def check_encoding(dsn: str) -> None:
    """Raise StartError where the database cannot hold every event."""
    connection = await connect_postgres(dsn, "event-counter start")
    try:
        encoding = await connection.fetchval("show server_encoding")
    finally:
        await connection.close()
    if encoding != "UTF8":
        raise StartError(
            f"The database behind EVENT_COUNTER_POSTGRES has the encoding {encoding}, which lacks "
            "most characters: create database NAME encoding 'UTF8' template template0, and name it"
        )


async def keep_bot_limit(dsn: str, limit: int | None) -> None:
    """Let the view human_event drop what the count workers drop; None: nothing."""
    connection = await connect_postgres(dsn, "event-counter start")
    try:
        async with connection.transaction():
            await connection.execute(load_queries()["bot_rule.keep"], limit)
    finally:
        await connection.close()


async def _missing(connection: asyncpg.Connection, migrations: dict[str, str]) -> list[str]:
    """Return the migrations that the database has not seen, oldest first."""
    if await connection.fetchval("select to_regclass('applied_migrations')") is None:
        return list(migrations)
    seen = {row["name"] for row in await connection.fetch("select name from applied_migrations")}
    return [name for name in migrations if name not in seen]
