"""The positions of a table of Postgres: what it includes of each partition of a topic."""

from __future__ import annotations

import logging

import asyncpg

from app.stores.sql import load_queries

log = logging.getLogger(__name__)


class Positions:
    """Reads and moves them; notices where the table was emptied meanwhile.

    Whoever reads a position, and writes changes after it, must not put a position back that
    somebody has deleted with the rows: the loss would never be seen.
    """

    def __init__(self, name: str, *key: str) -> None:
        """name: of the table, as its queries begin. key: what comes before the partition's."""
        self._name, self._key = name, key
        self._sql = load_queries()
        self._there: dict[int, bool] = {}

    async def read(self, connection: asyncpg.Connection, partition: int) -> int | None:
        """Return the offset that the table includes; None: not known."""
        found: int | None = await connection.fetchval(
            self._query("position"), *self._key, partition
        )
        self._there[partition] = found is not None
        return None if found is None or found < 0 else found

    async def hold(self, connection: asyncpg.Connection, partition: int) -> bool:
        """Begin to write rows, in a transaction; return False where the table was emptied."""
        if not self._there.get(partition, False):
            await connection.execute(self._query("begin"), *self._key, partition)
        query = self._query("hold")
        if await connection.fetchval(query, *self._key, partition) is not None:
            return True
        self._there[partition] = False
        log.warning("%s was emptied; writing all of partition %d again", self._name, partition)
        return False

    def held(self, partition: int) -> None:
        """Note that the transaction of hold() was committed."""
        self._there[partition] = True

    async def move(self, connection: asyncpg.Connection, partition: int, position: int) -> None:
        """Note that all rows up to a position are written."""
        await connection.execute(self._query("move"), *self._key, partition, position)

    def _query(self, name: str) -> str:
        return self._sql[f"{self._name}.{name}"]
