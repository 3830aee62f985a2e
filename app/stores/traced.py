"""The row of one record in Postgres, and what the views make of it."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import msgspec

from app.events.event import EPOCH, LAST_TIME, Event
from app.stores.postgres import Postgres
from app.stores.sql import load_queries

TIMEOUT_S = 1.2  # of an answer: less than workers wait for each other


class TracedRow(NamedTuple):
    """human: whether human_event has it."""

    event: Event
    duplicate: bool
    human: bool


class TracedRows:
    """Asks Postgres for single rows."""

    def __init__(self, dsn: str) -> None:
        """Raises SettingsError where the DSN is none."""
        self._postgres = Postgres(dsn, "event-counter trace")
        self._sql = load_queries()

    async def row(
        self, partition: int, offset: int, at: datetime | None = None
    ) -> TracedRow | None:
        """Return the row of a record, None where there is none; at: its event time, if known.

        Raises PostgresUnavailableError.
        """
        begin, end = (EPOCH, LAST_TIME) if at is None else (at, at)
        async with self._postgres.transaction(TIMEOUT_S) as connection:
            found = await connection.fetchrow(
                self._sql["trace.event"], partition, offset, begin, end
            )
            if found is None:
                return None
            duplicate, *fields = found
            if fields[-1] is not None:  # properties
                fields[-1] = msgspec.json.decode(fields[-1])
            event = Event(*fields)
            human = await connection.fetchval(
                self._sql["trace.human"], partition, offset, event.timestamp
            )
        return TracedRow(event, duplicate, human)

    def close(self) -> None:
        """Disconnect."""
        self._postgres.close()
