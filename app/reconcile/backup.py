"""A copy of everything that cannot be made again, taken while events flow.

What makes it one is the moment of the snapshot of Postgres: all events below its positions are in
it, and none above. The archive is copied before, and may lack some, which event has. So are the
topics that say what was done (app.reconcile.topic_copies), and the snapshot waits for what they
speak of; alerts come after it, so that none is missing that an event below the positions has
raised. Tables, event_summary, ad_month and Redis are made from event again.
"""

from __future__ import annotations

import asyncio
import shutil
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from app.archive.copies import copy_archive, only_backup, remembered
from app.archive.files import Folders
from app.errors import StartError, reason
from app.kafka.tables_version import current_version
from app.kafka.watermarks import Offsets, Say, Watermarks, wait_for
from app.names import Names
from app.reconcile.alone import wait_for_lock
from app.reconcile.counted import WORKERS_S, by_group, wait_for_counting
from app.reconcile.manifest import FILES, FORMAT, Manifest, decisive, hashed
from app.reconcile.topic_copies import TopicCopies
from app.settings import Settings
from app.stores.connect import connect_session
from app.stores.copies import DatabaseCopy, copy_out, stored_at
from app.stores.sql import load_queries

MISSING = (
    "event lacks {} of the rows that were stored, as where a month was detached: a restore could "
    "not count them again. Attach it, or copy Postgres, Kafka and the data directories themselves, "
    "while everything is stopped"
)


class Backup:
    """Takes one, into a folder that is not there or empty."""

    def __init__(self, settings: Settings, kafka: Watermarks, folder: Path, say: Say) -> None:
        self._settings, self._kafka, self._folder, self._say = settings, kafka, folder, say
        self._names = Names(settings.namespace)

    async def run(self) -> Manifest:
        """Return what it says of itself. Raises StartError, or KafkaUnavailableError.

        Nothing is forgotten meanwhile, no tables are counted anew, and no other backup is taken.
        """
        folder = self._folder
        dsn = self._settings.postgres.get_secret_value()
        try:
            with only_backup(Folders.of(self._settings)):
                connection = await connect_session(dsn, "event-counter backup")
                try:
                    await wait_for_lock(connection, load_queries(), self._say)
                    await asyncio.to_thread(make_empty, folder)
                    return await self._take(connection)
                finally:
                    await connection.close()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
            raise StartError(
                f"The backup was not finished, so {folder} is not a backup: {reason(exc)}"
            ) from exc

    async def _take(self, connection: asyncpg.Connection) -> Manifest:
        settings, folder = self._settings, self._folder
        topics = TopicCopies(settings, self._kafka, folder)
        self._say("copying the archive")
        archived = await asyncio.to_thread(copy_archive, Folders.of(settings), folder)
        self._say("copying topics")
        await topics.save_first()
        database = await self._copy_database(connection)
        if missing := database.missing:
            raise StartError(MISSING.format(missing))
        await topics.check_replay()
        await self._wait_for_counting(database.positions)
        await topics.save_last(database.positions)
        self._copy_settings()
        self._say("computing checksums")
        found = Manifest(
            format=FORMAT,
            made=datetime.now(UTC),
            archive=bool(archived) or await self._kafka.has_readers(self._names.archive_group),
            settings=decisive(settings),
            files=await asyncio.to_thread(hashed, folder),
            database=database,
        )
        # The lock is gone where the connection is, and something may have been forgotten.
        await connection.execute("select 1")
        found.write(folder)
        return found

    async def _copy_database(self, connection: asyncpg.Connection) -> DatabaseCopy:
        """Copy Postgres once it has all that there was of `events` by now."""
        folder, events = self._folder, self._names.events
        goal = await self._kafka.ends(events)
        for part, end in (await asyncio.to_thread(remembered, folder, events)).items():
            goal[part] = max(end, goal.get(part, 0))

        async def stored() -> Offsets:
            return (await stored_at(connection, events))[0]

        await wait_for("the store workers", stored, goal, WORKERS_S, self._say)
        self._say("copying Postgres")
        return await copy_out(connection, make_empty(folder / "postgres"), events)

    async def _wait_for_counting(self, positions: Offsets) -> None:
        """Return once what is in the copy was counted, and has raised its alerts."""
        version = await current_version(self._settings)
        kafka, names = self._kafka, Names(self._settings.namespace, version)
        await wait_for_counting(kafka, names, positions, by_group(kafka, names, self._say))

    def _copy_settings(self) -> None:
        """Copy the files that settings name. Addresses and secrets are not in a backup."""
        for name in FILES:
            if path := getattr(self._settings, name):
                (self._folder / "settings").mkdir(exist_ok=True)
                shutil.copyfile(path, self._folder / "settings" / name)


def make_empty(folder: Path) -> Path:
    """Make a folder; raise StartError where something is in it."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise StartError(f"{folder} is not empty. Use a folder that does not exist yet")
    return folder
