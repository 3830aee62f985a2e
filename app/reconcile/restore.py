"""A backup put back into an empty database, a Kafka without events and an empty data directory.

What comes after it gets offsets behind those of the backup, see app.kafka.mending; the tables are
made from event by rebuild_tables, which the caller does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from app.archive.copies import is_unused, put_back
from app.archive.files import Folders
from app.errors import StartError, reason
from app.kafka.clients import KafkaClients
from app.kafka.counter_log import decided
from app.kafka.watermarks import Watermarks
from app.names import Names
from app.reconcile.alone import take_restore_lock
from app.reconcile.archive_gap import fill_archive
from app.reconcile.manifest import Manifest
from app.reconcile.past_events import PastReader
from app.reconcile.topic_copies import TopicCopies
from app.settings import Settings
from app.stack.prepare import prepare_database, prepare_logs, prepare_topics
from app.stores.connect import connect_session
from app.stores.copies import copy_in, is_empty, sum_up
from app.stores.live import holds_counts
from app.stores.sql import check_encoding, load_migrations, load_queries, migrate_over

EMPTY = "A backup is restored into an empty place only"
NOT_RESTORED = f"The backup is not restored: {{}}. {EMPTY}"
NOT_SUMMED_UP = (
    "All events are restored, and event_summary is not yet: {}. Start role store, and run "
    "event-counter rebuild summary"
)


class Restore:
    """Puts back what is in a backup; the servers run, and no worker does.

    Raises StartError or KafkaUnavailableError.
    """

    def __init__(
        self, settings: Settings, folder: Path, found: Manifest, say: Callable[[str], object]
    ) -> None:
        """found: what the backup in the folder says."""
        self._settings, self._folder, self._found, self._say = settings, folder, found, say
        self._names, self._folders = Names(settings.namespace), Folders.of(settings)
        self._dsn = settings.postgres.get_secret_value()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Be the only one that restores into the database; raise BusyError or StartError."""
        held: list[asyncpg.Connection] = []

        async def hold() -> None:
            held.append(await connect_session(self._dsn, "event-counter restore"))
            await take_restore_lock(held[0], load_queries())

        try:
            await self._tried(hold())
            yield
        finally:
            for connection in held:
                await connection.close()

    async def check(self) -> None:
        """Make topics and tables, and look whether everything is empty."""
        settings = self._settings
        if not await asyncio.to_thread(is_unused, self._folders):
            raise StartError(f"{self._folders.archive} has files. {EMPTY}: move it away")
        await prepare_topics(settings)
        async with Watermarks(KafkaClients.of(settings)) as kafka:
            await TopicCopies(settings, kafka, self._folder).check_empty()
        await self._tried(self._check_database())
        redis = settings.redis.get_secret_value()
        if redis and await holds_counts(redis):
            raise StartError(
                f"Redis has counts. {EMPTY}: give another one, or delete its keys event_counter:*"
            )

    async def run(self) -> None:
        """Return once everything but the tables is there; begin with check()."""
        await self._tried(self._put_back())

    async def postgres(self) -> None:
        """Fill an empty database alone: role store goes on where the backup ends."""
        await self._tried(self._check_database())
        await self._tried(self._fill_database())
        await self._tried(self._sum_up(), NOT_SUMMED_UP)

    @staticmethod
    async def _tried(work: Awaitable[None], words: str = NOT_RESTORED) -> None:
        try:
            await work
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
            raise StartError(words.format(reason(exc))) from exc

    async def _check_database(self) -> None:
        """Make the tables of the backup, which may be those of an earlier version."""
        wanted = self._found.database.migrations
        if unknown := sorted(set(wanted) - load_migrations().keys()):
            raise StartError(
                f"The backup is of a later version, which has {', '.join(unknown)}. Install that "
                "one"
            )
        await check_encoding(self._dsn)
        connection = await connect_session(self._dsn, "event-counter restore")
        try:
            if not await is_empty(connection):
                raise StartError(f"The database has events. {EMPTY}: give an empty database")
            await migrate_over(connection, wanted)
        finally:
            await connection.close()

    async def _put_back(self) -> None:
        found, folder, settings = self._found, self._folder, self._settings
        self._say("copying the archive")
        await asyncio.to_thread(put_back, folder, self._folders)
        self._say("copying topics")
        async with Watermarks(KafkaClients.of(settings)) as kafka:
            await TopicCopies(settings, kafka, folder).put_back()
        await self._fill_database()
        await self._sum_up()
        if found.archive:
            past = PastReader(self._dsn, self._names.events)
            hours = settings.dedupe_hours
            await fill_archive(past, self._folders, found.database.cluster, hours, self._say)
        self._say("continuing the offsets of Kafka")
        await prepare_logs(settings)

    async def _fill_database(self) -> None:
        database = self._found.database
        self._say(f"copying {database.events} events into Postgres")
        connection = await connect_session(self._dsn, "event-counter restore")
        try:
            async with connection.transaction():
                await copy_in(connection, self._folder / "postgres", database)
        finally:
            await connection.close()

    async def _sum_up(self) -> None:
        types = (await decided(self._settings)).types_kept()
        await prepare_database(self._settings)  # later migrations change what is there
        self._say("adding up event_summary")
        connection = await connect_session(self._dsn, "event-counter restore")
        try:
            await connection.execute("analyze")
            await sum_up(connection, types)
        finally:
            await connection.close()
