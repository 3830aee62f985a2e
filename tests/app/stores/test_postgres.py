"""The connection of a sink: made when needed, and ready for what it is used for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import asyncpg

from app.stores.postgres import Postgres


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
