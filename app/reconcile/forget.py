"""A user forgotten: out of event and the archive; the tables are made anew by the caller.

Rows stay, as they are what figures are counted from. What says whose they are goes, and a name that
something counts by becomes a token. So every figure is the same, also after a rebuild.
"""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import asyncpg

from app.archive.copies import is_unused
from app.archive.files import Folders
from app.archive.forget import forget_in_archive
from app.counting.kept_fields import ByUser, KeptFields
from app.errors import StartError, reason
from app.kafka.watermarks import Offsets, Say, Watermarks, wait_for
from app.names import Names
from app.reconcile.alone import take_lock
from app.reconcile.counted import WORKERS_S
from app.reconcile.detached import detached_months, for_each_table
from app.settings import Settings
from app.stores.connect import connect_session
from app.stores.copies import stored_at
from app.stores.sql import load_queries

ARCHIVE_S = 300.0  # for the archive workers: the longest interval of their files, and a start
MARGIN = timedelta(hours=1)  # by which records may be out of their order in time


class Forgotten(NamedTuple):
    """rows, archived: rows of event and of the archive.

    messages: rows whose message_id stays for now, because copies of them may still come. newest:
    Kafka time of the last record; None where there is none. detached: tables of months that were
    detached, in which the user was forgotten, too.
    """

    rows: int
    archived: int
    messages: int
    newest: datetime | None
    detached: tuple[str, ...] = ()

    @property
    def tables(self) -> str:
        """Where the rows are, for a message."""
        return ", ".join(("event", *self.detached))


class Forget:
    """Takes users out of what is stored. Raises StartError or KafkaUnavailableError."""

    def __init__(
        self, settings: Settings, kafka: Watermarks, kept: KeptFields, by_user: ByUser, say: Say
    ) -> None:
        """kept: what declared counters count by. by_user: those that do by users."""
        self._settings, self._kafka, self._kept, self._say = settings, kafka, kept, say
        self._by_user = by_user
        self._names, self._folders = Names(settings.namespace), Folders.of(settings)

    async def user(self, user: str) -> Forgotten:
        """Forget all that was acknowledged by now of a user; again: what came since."""
        try:
            return await self._user(user)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
            raise StartError(
                f"Not everything is forgotten: {reason(exc)}. Run the same command again"
            ) from exc

    async def _user(self, user: str) -> Forgotten:
        dsn = self._settings.postgres.get_secret_value()
        connection = await connect_session(dsn, "event-counter forget")
        salt = secrets.token_hex()
        try:
            await self._wait_for_stores(connection)
            await take_lock(connection, load_queries())
            self._say("searching event")
            async with connection.transaction():
                found = await self._forget_rows(connection, user, salt)
                if found.rows:
                    await connection.execute(
                        "insert into forgotten (users, rows) values (1, $1)", found.rows
                    )
                await self._rename_base(connection, user, salt)
            token = await connection.fetchval("select forget_token($1, $2)", salt, user)
            self._say("searching the archive")  # a backup of it meanwhile would know both names
            archived = await asyncio.to_thread(forget_in_archive, self._folders, user, token)
        finally:
            await connection.close()
        return found._replace(archived=archived)

    async def _forget_rows(self, connection: asyncpg.Connection, user: str, salt: str) -> Forgotten:
        """Forget in event, and in months that were detached: they may be attached again."""
        sql = load_queries()
        months = await detached_months(connection, sql)
        since = datetime.now(UTC) - self._remembered()
        rows = [
            await connection.fetchrow(query, user, salt, since, *self._kept)
            for query in for_each_table(sql["forget.user"], months)
        ]
        return Forgotten(
            sum(row["rows"] for row in rows),
            0,
            sum(row["messages"] for row in rows),
            max((row["newest"] for row in rows if row["newest"]), default=None),
            tuple(month.name for month in months),
        )

    async def _rename_base(self, connection: asyncpg.Connection, user: str, salt: str) -> None:
        """Give a user another name in what forgotten months added up to."""
        sql, users = load_queries(), self._by_user
        await connection.execute(sql["forget.base_clicks"], user, salt)
        await connection.execute(sql["forget.base_cells"], user, salt, users.keys, users.labels)

    async def _wait_for_stores(self, connection: asyncpg.Connection) -> None:
        """Return once all that is in `events` by now is in event and the archive."""
        names, end = self._names, await self._kafka.ends(self._names.events)

        async def stored() -> Offsets:
            return (await stored_at(connection, names.events))[0]

        async def archived() -> Offsets:
            return await self._kafka.committed(names.archive_group, names.events)

        await wait_for("the store workers", stored, end, WORKERS_S, self._say)
        # Before the first file a worker may hold events that it has not committed.
        if await self._kafka.has_readers(names.archive_group) or not await asyncio.to_thread(
            is_unused, self._folders
        ):
            await wait_for("the archive workers", archived, end, ARCHIVE_S, self._say)

    def _remembered(self) -> timedelta:
        """Return how long ago a record may be that a duplicate is told by."""
        hours = self._settings.dedupe_hours
        return timedelta(hours=hours) + MARGIN if hours else timedelta()
