"""An archive out of a backup: what it lacks of event is archived, whatever killed its writer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.archive.archive import Archive
from app.archive.copies import copy_archive, put_back, remembered
from app.archive.files import Folders, publish
from app.archive.rows import app_rows
from app.events.records import Batch
from app.kafka.clients import KafkaClients
from app.kafka.watermarks import Watermarks
from app.names import Names
from app.reconcile.archive_gap import fill_archive
from app.reconcile.backup import Backup
from app.reconcile.past_events import PastReader
from app.settings import Settings
from app.stack.prepare import prepare_database
from app.stores.event_store import EventStore
from tests.support import archive
from tests.support.batches import RECORD_MS, TOPIC, batch_of
from tests.support.database import Database
from tests.support.kafka_client import KafkaClient

EVENTS = 20
CLUSTER = "one"
Fill = Callable[[Path], Awaitable[int]]


@pytest.fixture
async def stored(open_store: Callable[..., EventStore]) -> Batch:
    """Return app events that event has, of two dates in turns."""
    days = [datetime.fromtimestamp(RECORD_MS / 1000, UTC) - timedelta(days=n) for n in range(2)]
    found = batch_of(
        event
        for number in range(EVENTS)
        for event in archive.app_events([number], timestamp=days[number % 2].isoformat())
    )
    await open_store().store(TOPIC, 0, found)
    return found


@pytest.fixture
def fill(database: Database, tmp_path: Path) -> Fill:
    """Return what backs up an archive, restores it elsewhere and fills it; it returns how many."""

    async def filled(base: Path) -> int:
        backup, restored = tmp_path / "backup", Folders(tmp_path / "restored")
        copy_archive(Folders(base), backup)
        put_back(backup, restored)
        past = PastReader(database.dsn, TOPIC)
        added = await fill_archive(past, restored, CLUSTER, 0, lambda _: None)
        assert archive.users(tmp_path / "restored") == list(range(EVENTS))
        assert Archive(restored, TOPIC, CLUSTER).position(0) == (EVENTS, True)
        assert await fill_archive(past, restored, CLUSTER, 0, lambda _: None) == 0
        return added

    return filled


def flush(base: Path, batch: Sequence[Any], *, cluster: str = CLUSTER) -> None:
    Archive(Folders(base), TOPIC, cluster).write(
        {0: app_rows(batch)}, reached={0: batch[-1].offset + 1}
    )


@pytest.mark.parametrize("whole", [0, 8])
async def test_the_dates_that_a_killed_flush_had_not_come_to_are_filled(
    whole: int, stored: Batch, fill: Fill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "base"
    if whole:
        flush(base, stored[:whole])

    def dies(scratch: Path, final: Path) -> None:
        publish(scratch, final)
        raise KeyboardInterrupt

    monkeypatch.setattr("app.archive.archive.publish", dies)
    with pytest.raises(KeyboardInterrupt):
        flush(base, stored[whole:])
    monkeypatch.undo()
    there = len(archive.read(base))
    assert there < EVENTS
    assert await fill(base) == EVENTS - there


async def test_what_files_of_a_former_cluster_hold_is_there(
    stored: Batch, fill: Fill, tmp_path: Path
) -> None:
    flush(tmp_path / "base", stored[:8], cluster="former")
    (tmp_path / "base/.archive" / f"reached-{TOPIC}.json").unlink()  # an older version had none
    assert await fill(tmp_path / "base") == EVENTS - 8


async def test_where_nothing_was_written_yet_everything_is_filled(
    stored: Batch, fill: Fill, tmp_path: Path
) -> None:
    assert await fill(tmp_path / "base") == len(stored)


async def test_a_copy_knows_how_far_the_archive_had_looked(stored: Batch, tmp_path: Path) -> None:
    folders = Folders(tmp_path / "base")
    Archive(folders, TOPIC, CLUSTER).write({0: app_rows(stored[:8])}, reached={0: 17, 1: 3})
    copy_archive(folders, tmp_path / "backup")
    assert remembered(tmp_path / "backup", TOPIC) == {0: 17, 1: 3}


@pytest.mark.parametrize("archives", [True, False])
async def test_an_archive_that_has_no_file_yet_is_one(
    archives: bool, settings: Settings, topics: Names, kafka: KafkaClient, tmp_path: Path
) -> None:
    await prepare_database(settings)
    if archives:
        await kafka.commit(topics.archive_group, topics.events, {0: 0})
    async with Watermarks(KafkaClients.of(settings)) as marks:
        found = await Backup(settings, marks, tmp_path / "backup", print).run()
    assert found.archive is archives
