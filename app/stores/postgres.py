"""One connection to Postgres that comes back by itself, one transaction at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import asyncpg
from asyncpg import exceptions as pg

from app.errors import PostgresUnavailableError, StartError, reason
from app.stores.connect import connect_postgres
from app.stores.refusals import refused_by_postgres
from app.stores.sql import migrate_over

TRANSACTION_TIMEOUT_S = 60.0  # one of 20,000 rows takes 0.1 s; longer than this, Postgres hangs
SETTINGS = {  # of a transaction: a pooler gives each to another session
    # A worker that is frozen, or cut off, in a transaction must not keep its locks for ever.
    "idle_in_transaction_session_timeout": "10s",
    "lock_timeout": "6s",
    "statement_timeout": "60s",
}
BEGIN = "; ".join(["begin", *(f"set local {name} = '{value}'" for name, value in SETTINGS.items())])
# Errors that pass without anyone changing the rows: Postgres is away, starting, stopping, full,
# overloaded, being moved, or lets nobody in.
PASSING = (
    OSError,
    pg.PostgresConnectionError,
    pg.OperatorInterventionError,
    pg.InsufficientResourcesError,
    pg.TransactionRollbackError,
    pg.LockNotAvailableError,
    pg.PostgresSystemError,
    pg.ReadOnlySQLTransactionError,
    pg.IdleInTransactionSessionTimeoutError,
    pg.TransactionTimeoutError,
    pg.InvalidAuthorizationSpecificationError,
    pg.InvalidCatalogNameError,
    pg.InternalClientError,  # the server's last words came between two operations
)

POSTGRES_ERRORS = (OSError, pg.PostgresError, pg.InternalClientError)

ASK_TIMEOUT_S = 2.0

Prepare = Callable[[asyncpg.Connection], Awaitable[None]]


@contextmanager
def postgres_needed() -> Iterator[None]:
    """Raise StartError, with what to do, where Postgres is away or will not do within."""
    try:
        yield
    except POSTGRES_ERRORS as exc:
        text = refused_by_postgres(exc)
        if not text and not isinstance(exc, PASSING):
            raise
        raise StartError(
            text or f"Postgres is away: {reason(exc)}. Check EVENT_COUNTER_POSTGRES"
        ) from exc


class Postgres:
    """Connects when needed, brings the schema up to date first, and forgets a failed connection.

    name: as Postgres shows it in pg_stat_activity. prepare: called with each new connection.
    """

    def __init__(self, dsn: str, name: str, prepare: Prepare | None = None) -> None:
        """dsn: postgresql://…, as app.settings has checked it."""
        self._dsn, self._name, self._prepare = dsn, name, prepare
        self._connection: asyncpg.Connection | None = None
        self._prepared: asyncpg.Connection | None = None
        self._migrated = False
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def transaction(
        self, timeout_s: float = TRANSACTION_TIMEOUT_S
    ) -> AsyncIterator[asyncpg.Connection]:
        """Give a connection in a transaction; commit at the end, roll back on an exception.

        timeout_s: for all of it. Raises PostgresUnavailableError when Postgres is away.
        """
        async with self._lock:
            try:
                async with asyncio.timeout(timeout_s):
                    connection = await self._ready()
                    await connection.execute(BEGIN)
                    yield connection
                    await connection.execute("commit")
            except BaseException as exc:
                # Closing rolls back, and needs no answer from a server that may be dead.
                broken = self.close()
                if isinstance(exc, PASSING) or (broken and _is_of_asyncpg(exc)):
                    raise PostgresUnavailableError(f"Postgres is away: {reason(exc)}") from exc
                raise

    async def ask(self) -> None:
        """Return once Postgres has answered; the schema may be an old one.

        Raises PostgresUnavailableError where it does not, within ASK_TIMEOUT_S, or lets nobody in.
        """
        try:
            async with self._lock, asyncio.timeout(ASK_TIMEOUT_S):
                await (await self._connected()).execute("select 1")
        except BaseException as exc:
            self.close()
            if isinstance(exc, PASSING) or _is_of_asyncpg(exc):
                raise PostgresUnavailableError(f"Postgres is away: {reason(exc)}") from exc
            raise

    @asynccontextmanager
    async def sink_transaction(self) -> AsyncIterator[asyncpg.Connection]:
        """As transaction(), for a sink that the counting must not wait for.

        Whatever Postgres refuses, a missing right too, is a PostgresUnavailableError.
        """
        try:
            async with self.transaction() as connection:
                yield connection
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
            raise PostgresUnavailableError(f"Postgres refuses: {reason(exc)}") from exc

    def close(self) -> bool:
        """Close the connection at once; return whether it was broken already."""
        connection, self._connection, self._prepared = self._connection, None, None
        broken = connection is not None and connection.is_closed()
        if connection is not None:
            connection.terminate()
        return broken

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect_postgres(self._dsn, self._name)
        return self._connection

    async def _ready(self) -> asyncpg.Connection:
        """Return a connection with the schema up to date and prepare() done."""
        connection = await self._connected()
        if connection is not self._prepared:
            if not self._migrated:
                await migrate_over(connection)
                self._migrated = True
            if self._prepare is not None:
                async with connection.transaction():
                    await self._prepare(connection)
            self._prepared = connection
        return connection


def _is_of_asyncpg(exc: BaseException) -> bool:
    """What asyncpg raises when the server goes away in the middle has many faces."""
    return isinstance(exc, (pg.PostgresError, pg.InterfaceError))
