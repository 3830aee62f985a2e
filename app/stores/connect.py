"""Every connection to Postgres and to Redis is opened here."""

from __future__ import annotations

from typing import Any

import asyncpg
from redis.asyncio import Redis

from app.errors import SettingsError, StartError, reason

POSTGRES_TIMEOUT_S = 5.0
# What ends a session, and frees its locks, while it waits for something else; without those that
# an older Postgres does not have.
NO_LIMITS = """
select set_config(name, '0', false) from pg_settings where name in
    ('idle_session_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')
"""


async def connect_postgres(dsn: str, name: str, **settings: str) -> asyncpg.Connection:
    """Return a new connection; the caller closes it.

    name: what pg_stat_activity calls it. settings: of the session; with others than these a
    pooler in transaction mode lets nobody in, and it keeps no statement beyond a transaction.
    Raises OSError or asyncpg.PostgresError; a database that is closed rejects the connection.
    """
    try:
        return await asyncpg.connect(
            dsn,
            timeout=POSTGRES_TIMEOUT_S,
            statement_cache_size=0,
            server_settings={"application_name": name, "timezone": "UTC", **settings},
        )
    except asyncpg.ObjectNotInPrerequisiteStateError as exc:  # 55000, as what never passes has
        raise asyncpg.ConnectionRejectionError(reason(exc)) from exc


async def connect_session(dsn: str, name: str, **settings: str) -> asyncpg.Connection:
    """As connect_postgres(), for what lasts longer than a transaction; settings: of the session.

    Limits of the server for sessions that are idle do not hold here: a lock would be lost.
    Raises StartError where a pooler is between.
    """
    connection = await connect_postgres(dsn, name)
    pid = await connection.fetchval("select pg_backend_pid()")
    if pid != connection.get_server_pid():
        connection.terminate()
        raise StartError(
            "EVENT_COUNTER_POSTGRES is a pooler such as PgBouncer, and a session of its "
            "own is needed: use the address of Postgres itself"
        )
    await connection.execute(NO_LIMITS)
    for setting, value in settings.items():
        await connection.execute("select set_config($1, $2, false)", setting, value)
    return connection


def redis_client(url: str, timeout_s: float, **options: Any) -> Redis:
    """Return a client that connects when it is used; the caller closes it.

    url: redis://…; timeout_s: for each answer. Raises SettingsError where the URL is none.
    """
    try:
        return Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            protocol=2,  # any Redis from 2.6 on
            **options,
        )
    except ValueError as exc:
        raise SettingsError(f"EVENT_COUNTER_REDIS: {exc}") from exc
