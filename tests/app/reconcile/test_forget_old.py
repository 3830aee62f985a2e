"""Task forget_old: what the setting says, and nothing that a counter still needs."""

from __future__ import annotations

import asyncio
import random
import re
from datetime import datetime

import asyncpg
import pytest

import agents.forget_old
from app.archive.archive import Archive
from app.archive.files import Folders
from app.cli.forget_months import forget_before
from app.cli.progress import ProgressLog
from app.errors import BusyError
from app.reconcile.alone import take_lock
from app.stack.command import TRY_LATER
from app.stores.sql import load_queries
from tests.support import archive
from tests.support.forgotten_months import Months, random_event
from tests.support.waiting import wait_until

ONE_MONTH = """
select tableoid::regclass::text as name from event group by 1 order by count(*) limit 1
"""


async def test_another_one_at_work_is_no_failure_and_waited_for_in_silence(
    months: Months, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    settings = months.settings.model_copy(update={"raw_retention_days": 1})
    await months.store([random_event(random.Random(2)) for _ in range(20)])
    connection = await asyncpg.connect(settings.postgres.get_secret_value())
    await take_lock(connection, load_queries())
    assert await agents.forget_old.run(settings, "event") == TRY_LATER
    assert (capfd.readouterr().err, caplog.messages) == ("", [])
    await connection.close()
    assert await agents.forget_old.run(settings, "event") == 0
    assert "forgot 20 rows" in capfd.readouterr().err


async def test_old_months_go_by_themselves(
    months: Months, capfd: pytest.CaptureFixture[str]
) -> None:
    rng = random.Random(2)
    await months.store([random_event(rng) for _ in range(60)])
    said = await months.figures()
    folders = Folders.of(months.settings)
    Archive(folders, months.topic, "c").write({0: archive.numbered(range(5), 300)})
    settings = months.settings.model_copy(update={"raw_retention_days": 1})
    assert await agents.forget_old.run(settings, "event") == 0
    done, remaining = capfd.readouterr().err.splitlines()[-2:]  # the log of the worker
    assert re.fullmatch(
        r"forgot 60 rows of event before 20\d\d-\d\d, and 1 files of the archive; figures stay",
        done,
    )
    assert remaining.startswith("They are still in Kafka (events) until 20")
    Archive(folders, months.topic, "c").write({0: archive.numbered(range(5), 300)})
    assert await agents.forget_old.run(settings, "archive") == 0
    assert capfd.readouterr().err.splitlines()[-1] == "forgot 1 old files of the archive"
    assert await agents.forget_old.run(settings, "archive") == 0
    assert "forgot" not in capfd.readouterr().err
    (left,) = await months.database.fetch("select count(*) as n from event")
    assert left["n"] == 0, "all of them are older than any counter needs"
    # No counter of a counters.toml is declared in Kafka.
    assert await months.figures() | {"own": said["own"]} == said


async def test_detached_months_are_named_with_what_goes_and_not_each_day(
    months: Months, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = months.settings.model_copy(update={"raw_retention_days": 1})
    rng = random.Random(2)
    await months.store([random_event(rng) for _ in range(60)])
    (name,) = await months.database.fetch(ONE_MONTH)
    await months.database.fetch(f"alter table event detach partition {name['name']}")
    assert await agents.forget_old.run(settings, "event") == 0
    assert f"{name['name']}: detached from event" in capfd.readouterr().err
    assert await agents.forget_old.run(settings, "event") == 0
    assert "detached" not in capfd.readouterr().err


class Told(ProgressLog):
    """Keeps all that is said."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        """Keep it."""
        self.lines.append(text)


async def test_no_backup_begins_before_the_files_are_deleted_too(months: Months) -> None:
    """It would hold months that are forgotten."""
    await months.store([random_event(random.Random(2)) for _ in range(20)])
    folders = Folders.of(months.settings)
    Archive(folders, months.topic, "c").write({0: archive.numbered(range(5), 400)})
    told, before = Told(), datetime.fromisoformat("2026-01-01T00:00:00Z")
    with folders.reading():  # somebody's query, which is waited for
        work = asyncio.create_task(asyncio.to_thread(forget_before, months.settings, before, told))
        await wait_until(lambda: "deleting files of the archive" in told.lines, expected=True)
        connection = await asyncpg.connect(months.dsn)
        with pytest.raises(BusyError):
            await take_lock(connection, load_queries())
    assert "20 rows of event before 2026-01, and 1 files of the archive" in (await work)[0]
    await take_lock(connection, load_queries())
    await connection.close()
