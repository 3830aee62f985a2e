"""One command at a time counts the past anew, forgets some of it, copies it or puts it back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import monotonic

import asyncpg

from app.errors import BusyError
from app.kafka.watermarks import Say

PATIENCE_S = 60.0  # workers forget old months once a day, which mostly takes a moment
PAUSE_S = 0.5


async def take_lock(connection: asyncpg.Connection, sql: Mapping[str, str]) -> None:
    """Let no other such command begin while a connection is open; raise BusyError where one is."""
    if not await connection.fetchval(sql["rebuild.lock"]):
        raise BusyError("another event-counter rebuild tables, forget or backup is running")


async def wait_for_lock(connection: asyncpg.Connection, sql: Mapping[str, str], say: Say) -> None:
    """As take_lock(), but wait for a while."""
    until = monotonic() + PATIENCE_S
    while True:
        try:
            return await take_lock(connection, sql)
        except BusyError as exc:
            if monotonic() >= until:
                raise
            say(f"waiting: {exc}")
            await asyncio.sleep(PAUSE_S)


async def take_restore_lock(connection: asyncpg.Connection, sql: Mapping[str, str]) -> None:
    """Let no other restore into a database begin while a connection is open; raise BusyError."""
    if not await connection.fetchval(sql["restore.lock"]):
        raise BusyError("another event-counter restore is running into this database")
