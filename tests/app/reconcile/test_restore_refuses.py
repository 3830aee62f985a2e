"""A backup that is none, and a place that is not empty: refused in one line, and left as it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import msgspec
import pytest
from redis.asyncio import Redis

from app.archive.files import Folders
from app.errors import StartError
from app.kafka.clients import KafkaClients
from app.kafka.watermarks import Watermarks
from app.names import Names
from app.reconcile import manifest
from app.reconcile.manifest import Manifest, check_settings, decisive, hashed, read_manifest
from app.reconcile.restore import Restore
from app.reconcile.topic_copies import TopicCopies
from app.settings import Settings
from app.stack.data_dir import check_whole, restoring
from app.stack.prepare import prepare_database
from app.stores.copies import DatabaseCopy, migrations_of
from app.stores.sql import load_migrations
from tests.support.database import Database
from tests.support.kafka_client import KafkaClient

MADE = datetime(2026, 11, 23, 12, tzinfo=UTC)
DATABASE = DatabaseCopy({0: 5}, "old", [], [], [], 0)
FOUND = Manifest(manifest.FORMAT, MADE, archive=False, settings={}, files={}, database=DATABASE)
MakeUnempty = Callable[[Settings, KafkaClient], Awaitable[None]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a backup."""
    folder = tmp_path / "backup"
    (folder / "postgres").mkdir(parents=True)
    (folder / "postgres/event.copy.gz").write_bytes(b"rows")
    Manifest(*(manifest.FORMAT, MADE, False, decisive(Settings()), hashed(folder), DATABASE)).write(
        folder
    )
    return folder


def test_what_was_written_is_read(folder: Path) -> None:
    found = read_manifest(folder)
    assert (found.made, found.database) == (MADE, DATABASE)


def test_a_backup_that_was_killed_is_none(folder: Path) -> None:
    (folder / manifest.NAME).rename(folder / f"{manifest.NAME}.new")
    with pytest.raises(StartError, match="an unfinished one") as caught:
        read_manifest(folder)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("change", [Path.unlink, lambda file: file.write_bytes(b"row")])
def test_a_file_that_is_not_as_it_was_is_named(
    folder: Path, change: Callable[[Path], object]
) -> None:
    change(folder / "postgres/event.copy.gz")
    with pytest.raises(StartError, match=r"event\.copy\.gz is not as it was backed up"):
        read_manifest(folder)


def test_a_backup_of_a_newer_format_is_refused(folder: Path) -> None:
    newer = {"format": manifest.FORMAT + 1, "all": "else", "is": "new"}
    (folder / manifest.NAME).write_bytes(msgspec.json.encode(newer))
    with pytest.raises(StartError, match=f"format {manifest.FORMAT + 1}, and this version"):
        read_manifest(folder)


def test_settings_by_which_figures_would_not_go_on_are_named(folder: Path) -> None:
    with pytest.raises(StartError, match="EVENT_COUNTER_BOT_LIMIT=10, not 11"):
        check_settings(read_manifest(folder), Settings(bot_limit=11, http_port=9))


async def some_events(settings: Settings, kafka: KafkaClient) -> None:
    await kafka.send(Names(settings.namespace).events, [b"{}"])


async def some_alerts(settings: Settings, kafka: KafkaClient) -> None:
    await kafka.send(Names(settings.namespace).alerts, [b"{}"])


async def a_database(settings: Settings, _: KafkaClient) -> None:
    await prepare_database(settings)
    await Database(settings.postgres.get_secret_value()).fetch(
        "insert into sink_offsets values ('events', 0, 1, 1)"
    )


async def some_counts(settings: Settings, _: KafkaClient) -> None:
    async with Redis.from_url(settings.redis.get_secret_value()) as redis:
        await redis.hset("event_counter:positions", "0", "1")


async def an_archive(settings: Settings, _: KafkaClient) -> None:
    file = Folders.of(settings).archive / "date=2026-11-23/events-0-1-2.parquet"
    file.parent.mkdir(parents=True)
    file.touch()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (some_events, "events in Kafka has had 1 records"),
        (some_alerts, "alerts in Kafka has had 1 records"),
        (a_database, "The database has events"),
        (some_counts, "Redis has counts"),
        (an_archive, "archive has files"),
    ],
)
async def test_a_place_that_is_not_empty_is_refused(
    make: MakeUnempty, says: str, settings: Settings, topics: Names, kafka: KafkaClient
) -> None:
    assert topics
    await make(settings, kafka)
    with pytest.raises(StartError, match=says) as caught:
        await Restore(settings, settings.data_dir, FOUND, print).check()
    assert "into an empty place only" in " ".join(str(caught.value).split())


async def test_a_backup_of_a_later_version_is_refused(settings: Settings) -> None:
    later = msgspec.structs.replace(DATABASE, migrations=["2099-01-01-1-later"])
    found = msgspec.structs.replace(FOUND, database=later)
    with pytest.raises(StartError, match="later version, which has 2099-01-01-1-later"):
        await Restore(settings, settings.data_dir, found, print).check()


async def test_no_backup_is_taken_of_a_replay_at_work(
    settings: Settings, topics: Names, tmp_path: Path
) -> None:
    producer = KafkaClients.of(settings).producer(acks="all", transactional_id=topics.replayed)
    await producer.start()
    try:
        async with Watermarks(KafkaClients.of(settings)) as marks:
            copies = TopicCopies(settings, marks, tmp_path)
            await copies.save_first()
            await copies.check_replay()
            await producer.begin_transaction()
            await producer.send_and_wait(topics.replayed, b"1", b"events-0-7")
            with pytest.raises(StartError, match="replay was at work meanwhile"):
                await copies.check_replay()
            await producer.abort_transaction()
    finally:
        await producer.stop()


def test_nothing_starts_where_a_restore_did_not_end(tmp_path: Path) -> None:
    with restoring(tmp_path):
        pass
    check_whole(tmp_path)
    with pytest.raises(KeyboardInterrupt), restoring(tmp_path):
        raise KeyboardInterrupt
    with pytest.raises(StartError, match="did not end"):
        check_whole(tmp_path)


async def test_what_is_left_to_do_is_told_once_the_events_are_in(
    settings: Settings, folder: Path
) -> None:
    await prepare_database(settings)
    await Database(settings.postgres.get_secret_value()).fetch(
        "create trigger full_disk before insert on event_summary"
        " for each statement execute function suppress_redundant_updates_trigger()"
    )
    with pytest.raises(StartError) as caught:
        await Restore(settings, folder, FOUND, print).postgres()
    assert "empty place" not in str(caught.value)
    assert "All events are restored, and event_summary is not yet" in str(caught.value)
    assert "event-counter rebuild summary" in str(caught.value)


async def test_rows_of_an_earlier_version_go_through_what_was_migrated_since(
    settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = [*load_migrations()]
    dsn = settings.postgres.get_secret_value()
    earlier = msgspec.structs.replace(DATABASE, migrations=there[:-1])
    found = msgspec.structs.replace(FOUND, database=earlier)
    seen: list[list[str]] = []

    async def copied(connection: asyncpg.Connection, *_: object) -> None:
        seen.append(sorted(await migrations_of(connection)))

    monkeypatch.setattr("app.reconcile.restore.copy_in", copied)
    await Restore(settings, folder, found, print).postgres()
    rows = await Database(dsn).fetch("select name from applied_migrations")
    assert (seen, sorted(row[0] for row in rows)) == ([sorted(there[:-1])], sorted(there))
