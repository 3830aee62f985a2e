"""One command at a time counts the past anew, or forgets some of it."""

from __future__ import annotations

from collections.abc import Mapping

import asyncpg

from app.errors import BusyError


async def take_lock(connection: asyncpg.Connection, sql: Mapping[str, str]) -> None:
    """Let no other such command begin while a connection is open; raise BusyError where one is."""
    if not await connection.fetchval(sql["rebuild.lock"]):
        raise BusyError("another event-counter rebuild tables or forget is running")
