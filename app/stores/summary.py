"""Hourly counts into the Postgres table event_summary."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from app import metrics
from app.kafka.tables_version import FIRST, position_key
from app.stores.positions import Positions
from app.stores.postgres import Postgres
from app.stores.sql import load_queries

SINK = "summary"

SummaryRow = tuple[str, datetime, str, int]  # url, UTC hour (aware), type, count so far


class SummaryWriter:
    """Raises counts, never lowers them: a late or repeated write changes nothing."""

    def __init__(self, dsn: str, version: int = FIRST) -> None:
        """version: of the tables."""
        self._postgres = Postgres(dsn, "event-counter summary")
        self._sql = load_queries()
        self._version = version
        self._positions = Positions(SINK)

    async def position(self, partition: int) -> int | None:
        """Return the offset of `counts` that the table includes; None: not known.

        Raises UnavailableError when Postgres is away.
        """
        async with self._postgres.sink_transaction() as connection:
            return await self._positions.read(connection, position_key(self._version, partition))

    def is_as_left(self, partition: int) -> bool:
        """As Sink."""
        return self._positions.is_as_left(position_key(self._version, partition))

    async def write(self, partition: int, rows: Sequence[SummaryRow], position: int | None) -> bool:
        """Write absolute counts, and with the last ones the position they include.

        position: None while more rows of the same refresh follow. Returns False, with nothing
        written, where the table was emptied. Raises UnavailableError.
        """
        key = position_key(self._version, partition)
        with metrics.sink_seconds.labels(SINK).time():
            async with self._postgres.sink_transaction() as connection:
                if not await self._positions.hold(connection, key):
                    return False
                if rows:
                    # In one order: two workers that write the same rows do not wait for each other.
                    columns = [list(column) for column in zip(*sorted(rows), strict=True)]
                    await connection.execute(self._sql["summary.upsert"], *columns)
                if position is not None:
                    await self._positions.move(connection, key, position)
        self._positions.held(key)
        metrics.sink_rows.labels(SINK).inc(len(rows))
        return True

    async def close(self) -> None:
        """Disconnect; the next call connects again."""
        self._postgres.close()
