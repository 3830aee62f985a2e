"""Impressions and visitors per ad and month into the Postgres table ad_month."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal

import asyncpg

from app import metrics
from app.counting.stats_window import Clock, Month
from app.kafka.tables_version import FIRST, position_key
from app.stores.positions import Positions
from app.stores.postgres import Postgres
from app.stores.sql import load_queries

SINK = "ads"
AD_ID_MAX_BYTES = 2048  # with the month it must fit a Postgres index row of 2,704 bytes

Figure = Literal["impressions", "visitors"]
AdRow = tuple[Month, str, int]  # month, ad_id, figure so far


class AdMonths:
    """The table; its sinks raise figures, never lower them.

    clock: seconds since 1970. version: of the tables that the figures come from.
    """

    def __init__(self, dsn: str, clock: Clock, version: int = FIRST) -> None:
        self.version = version
        self._postgres = Postgres(dsn, "event-counter ads")
        self._sql = load_queries()
        self._clock = clock

    def sink(self, figure: Figure) -> AdFigures:
        """Return what writes one column."""
        return AdFigures(self, figure)

    @property
    def current(self) -> str:
        """The month that is not over, e.g. 2026-11."""
        return str(Month.of(int(self._clock())))

    async def finish(self) -> None:
        """Set final in the rows of the months that are over; raise UnavailableError."""
        async with self.transaction() as connection:
            await connection.execute(self._sql["ad_month.finish"], self.current)

    def close(self) -> None:
        """Disconnect; the next call connects again."""
        self._postgres.close()

    def query(self, name: str) -> str:
        """Return the text of a query of this table."""
        return self._sql[f"ad_month.{name}"]

    def transaction(self) -> AbstractAsyncContextManager[asyncpg.Connection]:
        """Give a connection in a transaction; raise UnavailableError whatever Postgres refuses."""
        return self._postgres.sink_transaction()


class AdFigures:
    """One column of ad_month: app.stores.refresh.Sink."""

    def __init__(self, table: AdMonths, figure: Figure) -> None:
        self._table, self._figure = table, figure
        self._positions = Positions("ad_month", figure)

    async def position(self, partition: int) -> int | None:
        """Return the offset of the figure's topic that the table includes; None: not known.

        Raises UnavailableError when Postgres is away.
        """
        async with self._table.transaction() as connection:
            key = position_key(self._table.version, partition)
            return await self._positions.read(connection, key)

    def is_as_left(self, partition: int) -> bool:
        """As Sink."""
        return self._positions.is_as_left(position_key(self._table.version, partition))

    async def write(self, partition: int, rows: Sequence[AdRow], position: int | None) -> bool:
        """Write absolute figures, and with the last ones the position they include.

        position: None while more rows of the same refresh follow. Returns False, with nothing
        written, where the table was emptied. Raises UnavailableError.
        """
        table, figure = self._table, self._figure
        key = position_key(table.version, partition)
        fitting = [row for row in rows if len(row[1].encode()) <= AD_ID_MAX_BYTES]
        with metrics.sink_seconds.labels(SINK).time():
            async with table.transaction() as connection:
                if not await self._positions.hold(connection, key):
                    return False
                if fitting:
                    months, ads, figures = zip(*fitting, strict=True)
                    columns = list(map(str, months)), ads, figures
                    await connection.execute(table.query(figure), *columns, table.current)
                if position is not None:
                    await self._positions.move(connection, key, position)
        self._positions.held(key)
        metrics.sink_rows.labels(SINK).inc(len(fitting))
        return True

    async def close(self) -> None:
        """Disconnect."""
        self._table.close()
