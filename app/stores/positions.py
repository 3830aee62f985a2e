"""The positions of a table of Postgres: what it includes of each partition of a topic."""

from __future__ import annotations

import logging

import asyncpg

from app.stores.left import LeftStates
from app.stores.sql import load_queries

BEGUN = -1  # all rows are about to be written

log = logging.getLogger(__name__)


class Positions:
    """Reads and moves them; notices where the table was emptied or put back meanwhile.

    Whoever reads a position, and writes changes after it, must not put a position back that
    somebody has deleted with the rows, nor move one that somebody has set back with them: the loss
    would never be seen.
    """

    def __init__(self, name: str, *key: str) -> None:
        """name: of the table, as its queries begin. key: what comes before the partition's."""
        self._name, self._key = name, key
        self._sql = load_queries()
        self._left = LeftStates[int | None]()  # None: no position

    async def read(self, connection: asyncpg.Connection, partition: int) -> int | None:
        """Return the offset that the table includes; None: not known."""
        found: int | None = await connection.fetchval(
            self._query("position"), *self._key, partition
        )
        self._left.find(partition, found)
        return None if found is None or found < 0 else found

    def is_as_left(self, partition: int) -> bool:
        """Whether the position that was read is the one that was left before."""
        return self._left.is_same(partition)

    async def hold(self, connection: asyncpg.Connection, partition: int) -> bool:
        """Begin to write rows, in a transaction; return False where the table is not as before."""
        before = self._left.known(partition, None)
        if before is None:
            await connection.execute(self._query("begin"), *self._key, partition)
        found = await connection.fetchval(self._query("hold"), *self._key, partition)
        if found == (BEGUN if before is None else before):
            self._left.attempt(partition, found)
            return True
        self._left.leave(partition, None)
        log.warning("%s was emptied or put back: partition %d", self._name, partition)
        return False

    async def move(self, connection: asyncpg.Connection, partition: int, position: int) -> None:
        """Note that all rows up to a position are written."""
        await connection.execute(self._query("move"), *self._key, partition, position)
        before = self._left.known(partition, None)
        self._left.attempt(partition, max(BEGUN if before is None else before, position))

    def held(self, partition: int) -> None:
        """Note that the transaction of hold() was committed."""
        self._left.commit(partition)

    def _query(self, name: str) -> str:
        return self._sql[f"{self._name}.{name}"]
