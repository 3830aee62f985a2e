"""The connection of a sink: made when needed, and ready for what it is used for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from app.errors import PostgresUnavailableError
from app.stores.postgres import Postgres
from tests.support.database import Database


async def test_a_connection_that_was_only_asked_is_prepared_before_it_is_used(
    make_database: Callable[[], Awaitable[str]],
) -> None:
    prepared: list[asyncpg.Connection] = []

    async def prepare(connection: asyncpg.Connection) -> None:
        prepared.append(connection)

    postgres = Postgres(await make_database(), "test", prepare)
    try:
        await postgres.ask()
        assert prepared == []
        for _ in range(2):
            async with postgres.transaction() as connection:
                await connection.execute("select 1 from event")
        assert prepared == [connection], "once, also the tables"
    finally:
        postgres.close()


async def test_only_a_lock_and_a_closed_database_pass_of_what_is_not_as_it_must_be(
    make_database: Callable[[], Awaitable[str]],
) -> None:
    database = Database(await make_database())
    postgres = Postgres(database.dsn, "test")

    async def change(state: str) -> None:
        async with postgres.transaction() as connection:
            await connection.execute(
                f"do $$ begin raise exception 'refused' using errcode = '{state}'; end $$"
            )

    with pytest.raises(PostgresUnavailableError):
        await change("55P03")  # a lock that another has
    with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
        await change("55000")  # as a table of a publication that has no replica identity
    server, _, name = database.dsn.rpartition("/")
    closed = f"alter database {name} allow_connections"
    await Database(f"{server}/postgres").fetch(f"{closed} false")
    try:
        with pytest.raises(PostgresUnavailableError, match="not currently accepting connections"):
            await change("")
    finally:
        await Database(f"{server}/postgres").fetch(f"{closed} true")
