"""Every connection to Postgres and to Redis is opened here."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import asyncpg
from redis.asyncio import Redis

from app.errors import SettingsError

POSTGRES_TIMEOUT_S = 5.0


def check_postgres(dsn: str) -> str:
    """Return the DSN; raise SettingsError where it is none."""
    if urlsplit(dsn).scheme not in ("postgres", "postgresql"):
        raise SettingsError("EVENT_COUNTER_POSTGRES does not begin with postgresql://")
    return dsn


async def connect_postgres(dsn: str, name: str, **settings: str) -> asyncpg.Connection:
    """Return a new connection; the caller closes it.

    name: what pg_stat_activity calls it. settings: of the session. Raises OSError or
    asyncpg.PostgresError.
    """
    return await asyncpg.connect(
        dsn,
        timeout=POSTGRES_TIMEOUT_S,
        server_settings={"application_name": name, "timezone": "UTC", **settings},
    )


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
