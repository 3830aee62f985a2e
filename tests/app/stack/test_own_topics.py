"""Retentions that `run` shortens: what is stored decides, and not only what is committed."""

from __future__ import annotations

import time
from pathlib import Path

from app.archive.archive import Archive
from app.archive.files import Folders
from app.names import Names
from app.settings import Settings
from app.stack.own_topics import shorten_own_topics
from app.stack.prepare import prepare_database
from tests.support import archive
from tests.support.database import Database
from tests.support.kafka_client import KafkaClient

DAY_MS = 24 * 3_600_000


async def test_an_archive_that_is_elsewhere_now_reads_again_before_events_go(
    settings: Settings, topics: Names, kafka: KafkaClient, tmp_path: Path
) -> None:
    old_ms = int(time.time() * 1000) - 2 * DAY_MS
    await kafka.send(topics.events, [b"{}"] * 3, 1, timestamp_ms=old_ms)
    await kafka.send(topics.events, [b"{}"], 1)
    await prepare_database(settings)
    await Database(settings.postgres.get_secret_value()).fetch(
        "insert into sink_offsets (topic, partition, next_offset, stored) values ($1, 1, 4, 4)",
        topics.events,
    )
    for group in (topics.count_group, topics.store_group, topics.archive_group):
        await kafka.commit(group, topics.events, {1: 4})
    changed = {"events_retention_hours": 24, "archive_dir": tmp_path / "elsewhere"}
    shorter = settings.model_copy(update=changed)
    (line,) = await shorten_own_topics(shorter)
    assert f"stays 168 h: {topics.archive_group} has not read 3 records older than 24 h" in line
    rows = {1: archive.numbered([0])}
    Archive(Folders.of(shorter), topics.events, "c").write(rows, reached={1: 4})
    (line,) = await shorten_own_topics(shorter)
    assert line.endswith(": 168 h -> 24 h")
