"""Hourly counts into the Postgres table event_summary."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from app import metrics
from app.kafka.tables_version import FIRST, position_key
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

    async def position(self, partition: int) -> int | None:
        """Return the offset of `counts` that the table includes; None: not known.

        Raises UnavailableError when Postgres is away.
        """
        async with self._postgres.sink_transaction() as connection:
            key = position_key(self._version, partition)
            found: int | None = await connection.fetchval(self._sql["summary.position"], key)
            return found

    async def write(self, partition: int, rows: Sequence[SummaryRow], position: int | None) -> bool:
        """Write absolute counts, and with the last ones the position they include; return True.

        position: None while more rows of the same refresh follow. Raises UnavailableError.
        """
        with metrics.sink_seconds.labels(SINK).time():
            async with self._postgres.sink_transaction() as connection:
                if rows:
                    # In one order: two workers that write the same rows do not wait for each other.
                    columns = [list(column) for column in zip(*sorted(rows), strict=True)]
                    await connection.execute(self._sql["summary.upsert"], *columns)
                if position is not None:
                    key = position_key(self._version, partition)
                    await connection.execute(self._sql["summary.move"], key, position)
        metrics.sink_rows.labels(SINK).inc(len(rows))
        return True

    async def close(self) -> None:
        """Disconnect; the next call connects again."""
        self._postgres.close()
