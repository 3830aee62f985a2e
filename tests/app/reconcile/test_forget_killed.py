"""Months forgotten all or not at all, wherever who forgets them is killed."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from typing import Any

import asyncpg
import pyarrow.parquet as pq
import pytest

from app.archive.archive import Archive
from app.archive.enrich import FILE, enrich
from app.archive.files import Folders
from app.errors import StartError
from tests.support import archive
from tests.support.forgotten_months import Months, random_event
from tests.support.running_copy import ROOT

MEMORY_MB = 256
CALLS = ("execute", "fetch", "fetchval", "fetchrow", "executemany", "copy_records_to_table")


async def test_killed_at_any_statement_nothing_is_done(
    months: Months, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(4)
    for partition in (0, 1):
        await months.store([random_event(rng) for _ in range(60)], partition)
    await months.figures()  # it migrates
    before, said = await months.everything(), await months.figures()
    dies_at, calls = 0, 0
    for name in CALLS:
        call = getattr(asyncpg.Connection, name)

        async def dying(self: Any, *args: Any, _call: Any = call, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == dies_at:
                self.terminate()
            return await _call(self, *args, **options)

        monkeypatch.setattr(asyncpg.Connection, name, dying)
    done = False
    while not done:
        dies_at, calls = dies_at + 1, 0
        try:
            done = (await months.forget("2025-03")).rows > 0
        except StartError:
            calls = 1 << 20
            assert await months.everything() == before
        calls = 1 << 20
    assert dies_at > 25
    assert await months.figures() == said


def command(months: Months, *arguments: str, statement: str = "", unlinked: int = 0) -> Any:
    """Run `event-counter forget`, which dies as asked."""
    module = "tests.support.dying_command", statement, str(unlinked)
    given = {**os.environ, **months.settings.to_env(), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", *module, "forget", *arguments, "--yes"],
        env=given,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


async def test_killed_by_kill_9_the_next_call_does_it_all(months: Months) -> None:
    rng = random.Random(4)
    await months.store([random_event(rng) for _ in range(60)])
    await months.figures()
    folders = Folders.of(months.settings)
    days = archive.numbered(range(9), 300, 400, 500)
    Archive(folders, months.topic, "c").write({0: days | {9: archive.row(user="9")}})
    before, said = await months.everything(), await months.figures()
    for statement in ("drop table event_2025_02", "COMMIT"):
        died = await asyncio.to_thread(command, months, "--before", "2025-12", statement=statement)
        assert died.returncode == -signal.SIGKILL, died.stderr
        assert await months.everything() == before
    died = await asyncio.to_thread(command, months, "--before", "2025-12", unlinked=1)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert await months.everything() != before
    assert len(archive.files(months.settings.data_dir)) == 3
    done = await asyncio.to_thread(command, months, "--before", "2025-12")
    assert done.stdout.startswith("forgot 0 rows of event before 2025-12, and 2 files"), done
    assert [row["user_id"] for row in archive.read(months.settings.data_dir)] == ["9"]
    # The command sees no counters of a counters.toml: none is declared in Kafka.
    assert await months.figures() | {"own": said["own"]} == said


async def test_killed_before_enriched_is_written_the_next_call_writes_it(months: Months) -> None:
    await months.store([random_event(random.Random(4))])
    await months.figures()
    folders = Folders.of(months.settings)
    days = archive.numbered(range(9), 300, 400, 500)
    Archive(folders, months.topic, "c").write({0: days | {9: archive.row(user="9")}})
    enrich(folders, None, MEMORY_MB)
    died = await asyncio.to_thread(command, months, "--before", "2025-12", unlinked=3)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert pq.read_table(folders.enriched / FILE).num_rows == 10
    done = await asyncio.to_thread(command, months, "--before", "2025-12")
    assert " 0 files" in done.stdout, done
    assert pq.read_table(folders.enriched / FILE)["user_id"].to_pylist() == ["9"]
