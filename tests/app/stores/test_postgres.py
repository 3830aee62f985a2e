"""The connection of a sink: made when needed, and ready for what it is used for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from app.errors import PostgresUnavailableError
from app.stores.connect import connect_postgres, connect_session
from app.stores.postgres import Postgres
from tests.support.database import Database
from tests.support.waiting import wait_until


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


async def test_a_session_outlives_the_limits_of_the_server_for_idle_ones(
    make_database: Callable[[], Awaitable[str]],
) -> None:
    """What holds the lock of a backup says nothing to Postgres while topics are copied."""
    dsn = await make_database()
    name = dsn.rpartition("/")[2]
    limits = (
        "idle_session_timeout",
        "idle_in_transaction_session_timeout",
        "transaction_timeout",
    )
    for limit in limits:
        await Database(dsn).fetch(f"alter database {name} set {limit} = '2s'")
    session = await connect_session(dsn, "test")
    try:
        async with session.transaction():
            other = await connect_postgres(dsn, "test")
            await wait_until(other.is_closed, expected=True)
            assert await session.fetchval("select 1") == 1
        shown = [await session.fetchval(f"show {limit}") for limit in limits]
        assert shown == ["0", "0", "0"]
    finally:
        session.terminate()
