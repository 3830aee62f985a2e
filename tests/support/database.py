"""What a test sees of a Postgres database, over connections of its own."""

from __future__ import annotations

from typing import Any

import asyncpg


class Database:
    """One database, by its DSN."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    async def fetch(self, query: str, *args: object) -> list[Any]:
        """Return the rows of a query."""
        connection = await asyncpg.connect(self.dsn)
        try:
            return list(await connection.fetch(query, *args))
        finally:
            await connection.close()

    async def uuids(self) -> list[int]:
        """Return the numbers that events() gave the stored events, sorted."""
        return sorted(int(row[0]) for row in await self.fetch("select uuid from event"))

    async def offsets(self) -> dict[int, tuple[int, int]]:
        """Return {partition: (next offset, rows stored)}."""
        rows = await self.fetch("select partition, next_offset, stored from sink_offsets")
        return {row[0]: (row[1], row[2]) for row in rows}

    async def refuse_rows(self, state: str) -> None:
        """Make Postgres fail each row of event with an SQLSTATE; 53100: no space on the disk."""
        await self.fetch(
            "create or replace function refuse() returns trigger language plpgsql as $$"
            f" begin raise exception 'refused' using errcode = '{state}'; end $$"
        )
        await self.fetch(
            "create trigger refuse before insert on event for each row execute function refuse()"
        )

    async def take_rows(self) -> None:
        """Undo refuse_rows()."""
        await self.fetch("drop trigger refuse on event")
