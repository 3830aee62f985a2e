"""Commands that would spoil each other: the second is refused. What a killed one left goes."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from app.archive.archive import Archive
from app.archive.copies import only_backup
from app.archive.files import Folders
from app.archive.forget import forget_in_archive
from app.errors import BusyError
from app.kafka.clients import KafkaClients
from app.kafka.watermarks import Watermarks
from app.names import Names
from app.reconcile import alone
from app.reconcile.alone import take_lock
from app.reconcile.backup import Backup
from app.reconcile.restore import Restore
from app.settings import Settings
from app.stack.prepare import prepare_database
from app.stores.sql import load_queries
from tests.app.reconcile.test_restore_refuses import FOUND
from tests.support.database import Database


async def back_up(settings: Settings, folder: Path) -> None:
    async with Watermarks(KafkaClients.of(settings)) as kafka:
        await Backup(settings, kafka, folder, lambda _: None).run()


def leave_remains(folders: Folders) -> Path:
    """Leave a file where a backup that was killed has it."""
    file = folders.work / "backup/archive/date=2026-11-23/old.parquet"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"of somebody who is forgotten")
    return file


async def test_a_second_backup_is_refused_and_leaves_the_first_alone(
    settings: Settings, topics: Names, tmp_path: Path
) -> None:
    assert topics
    folders, target = Folders.of(settings), tmp_path / "second"
    with only_backup(folders):
        of_the_first = leave_remains(folders)
        with pytest.raises(BusyError, match="another event-counter backup is running"):
            await back_up(settings, target)
        forget_in_archive(folders, "u1", "token")
        assert of_the_first.exists()
    assert not target.exists()


async def test_a_backup_waits_for_what_forgets_or_counts_anew_and_is_refused_then(
    settings: Settings, topics: Names, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert topics
    monkeypatch.setattr(alone, "PATIENCE_S", 0)
    await prepare_database(settings)
    other = await asyncpg.connect(settings.postgres.get_secret_value())
    await take_lock(other, load_queries())
    with pytest.raises(BusyError, match="another event-counter rebuild tables, forget or backup"):
        await back_up(settings, tmp_path / "backup")
    await other.close()


async def test_nothing_forgets_during_a_backup_that_takes_nothing_of_a_killed_one(
    settings: Settings, topics: Names, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert topics
    await prepare_database(settings)
    folders, dsn = Folders.of(settings), settings.postgres.get_secret_value()
    remains = leave_remains(folders)
    tried = []

    async def take(self: Backup, _: asyncpg.Connection) -> None:
        other = await asyncpg.connect(dsn)
        with pytest.raises(BusyError):
            await take_lock(other, load_queries())
        await other.close()
        tried.append(self)

    monkeypatch.setattr(Backup, "_take", take)
    await back_up(settings, tmp_path / "backup")
    assert tried
    assert not remains.exists()


def test_forgetting_deletes_what_a_killed_backup_left(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    remains = leave_remains(folders)
    forget_in_archive(folders, "u1", "token")
    assert not remains.exists()
    assert Archive(folders, "events", "c").position(0) is None


async def test_a_second_restore_into_a_database_is_refused(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    assert database
    first, second = (Restore(settings, tmp_path, FOUND, lambda _: None) for _ in range(2))
    async with first.alone():
        with pytest.raises(BusyError, match="another event-counter restore"):
            async with second.alone():
                pass
    async with second.alone():
        pass
