"""enriched/: figures by hand, replaced as a whole, and never half."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from app.archive.archive import Archive
from app.archive.enrich import enrich
from app.archive.files import Folders, locked
from app.archive.rows import ArchiveRow
from app.archive.snapshot import Snapshot
from app.errors import ArchiveBusyError, StartError
from tests.support.archive import MINUTE_US, NOON_US, row, users

NOON = datetime(2026, 9, 22, 12, tzinfo=UTC)
MEMORY_MB = 128
Fill = Callable[..., Folders]


@pytest.fixture
def fill(tmp_path: Path) -> Fill:
    """Return what archives rows, in batches of one, and returns the folders."""

    def make(*rows: ArchiveRow, base: Path = tmp_path) -> Folders:
        folders = Folders(base)
        Archive(folders, "events", "one").write({0: dict(enumerate(rows))})
        return folders

    return make


def enriched(folders: Folders) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(folders.enriched / "enriched.parquet").to_pylist()
    return found


def figures(folders: Folders) -> dict[Any, tuple[int | None, str | None]]:
    """Return (u_count, u_mp_ea) by user, which are the same in all rows of one."""
    found: dict[Any, set[tuple[int | None, str | None]]] = {}
    for one in enriched(folders):
        found.setdefault(one["user_id"], set()).add((one["u_count"], one["u_mp_ea"]))
    assert all(len(values) == 1 for values in found.values())
    return {user: values.pop() for user, values in found.items()}


def at(minutes: float, user: str | None, action: str | None) -> ArchiveRow:
    """Return a row so many minutes before noon."""
    return row(user, action, event_time=NOON_US - round(minutes * MINUTE_US))


def test_the_figures_of_each_user_are_those_counted_by_hand(fill: Fill) -> None:
    folders = fill(
        *(at(minutes, "ann", "scroll") for minutes in (1, 2, 300)),
        *(at(minutes, "ann", "click") for minutes in (5000, 6000, 7000)),  # as many: by name
        *(at(minutes, "ann", None) for minutes in range(10, 20)),  # more, but no action
        at(200, "ben", "zoom"),  # nothing in the last 3 hours
        at(3, "cem", None),  # no action at all
        *(at(minutes, "dia", action) for minutes, action in [(1, "a"), (2, "b"), (999, "b")]),
        at(1, None, "scroll"),  # nobody's
    )
    done = enrich(folders, NOON, MEMORY_MB)
    assert figures(folders) == {
        "ann": (12, "click"),
        "ben": (0, "zoom"),
        "cem": (1, None),
        "dia": (2, "b"),
        None: (None, None),
    }
    assert done.rows == len(enriched(folders)) == 22


def test_the_window_ends_with_t_and_begins_after_three_hours_before(fill: Fill) -> None:
    edges = {"begin": 180, "in": 179.999, "end": 0, "after": -0.001, "before": 180.001}
    folders = fill(*(at(minutes, name, "a") for name, minutes in edges.items()))
    enrich(folders, NOON, MEMORY_MB)
    counted = {user for user, (count, _) in figures(folders).items() if count}
    assert counted == {"in", "end"}
    enrich(folders, NOON - timedelta(minutes=1), MEMORY_MB)
    counted = {user for user, (count, _) in figures(folders).items() if count}
    assert counted == {"begin", "in", "before"}


def test_rows_stay_as_they_are_in_the_archive(fill: Fill) -> None:
    strange = row(
        "o'hara", "null", app_name="", event_category=None, event_value=None, event_time=0
    )
    folders = fill(strange, row("x" * 10_000, 'a"b\n\u2028'), row(event_value=1e308))
    enrich(folders, NOON, MEMORY_MB)
    found = [{k: v for k, v in one.items() if not k.startswith("u_")} for one in enriched(folders)]
    kept = pq.ParquetDataset(folders.archive, partitioning=None).read().to_pylist()
    assert sorted(map(str, found)) == sorted(map(str, kept))


def test_an_archive_without_a_file_gives_an_empty_result(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    assert enrich(folders, NOON, MEMORY_MB).rows == 0
    assert enriched(folders) == []


def test_a_folder_may_have_any_name(fill: Fill, tmp_path: Path) -> None:
    folders = fill(row("1"), row("2"), base=tmp_path / "it's [1]* ?")
    assert enrich(folders, NOON, MEMORY_MB).rows == 2
    assert enrich(folders, NOON, MEMORY_MB).rows == 2


def test_a_later_run_replaces_everything(fill: Fill) -> None:
    folders = fill(row("1"))
    enrich(folders, NOON, MEMORY_MB)
    (folders.enriched / "old.parquet").touch()
    fill(row("1"), row("2"))
    done = enrich(folders, NOON + timedelta(hours=9), MEMORY_MB)
    assert sorted(figures(folders)) == ["1", "2"]
    assert sorted(file.name for file in folders.enriched.iterdir()) == [
        "enriched.json",
        "enriched.parquet",
    ]
    assert Snapshot.read(folders.enriched) == done
    assert [file for file in folders.work.iterdir() if file.is_dir()] == [folders.new]


def test_where_folders_cannot_be_swapped_it_is_replaced_all_the_same(
    fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Path) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr("app.archive.files.exchange", refuse)
    folders = fill(row("1"))
    for _ in range(3):
        enrich(folders, NOON, MEMORY_MB)
    assert sorted(figures(folders)) == ["1"]
    assert [file for file in folders.work.iterdir() if file.is_dir()] == [folders.new]


def test_a_run_that_fails_leaves_the_old_result(fill: Fill) -> None:
    folders = fill(row("1"))
    enrich(folders, NOON, MEMORY_MB)
    (folders.archive / "date=2026-09-22/broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(StartError, match="is unchanged"):
        enrich(folders, NOON, MEMORY_MB)
    assert figures(folders) == {"1": (1, "scroll")}


def test_one_run_at_a_time(fill: Fill) -> None:
    folders = fill(row("1"))
    with locked(folders.work / "enrich.lock", wait_s=0), pytest.raises(ArchiveBusyError):
        enrich(folders, NOON, MEMORY_MB)


def test_readers_see_the_old_result_to_its_end(fill: Fill) -> None:
    folders = fill(row("1"))
    enrich(folders, NOON, MEMORY_MB)
    fill(row("1"), row("2"))
    running = threading.Thread(target=enrich, args=(folders, NOON, MEMORY_MB))
    with folders.reading():
        running.start()
        running.join(1.0)
        assert running.is_alive()
        assert sorted(figures(folders)) == ["1"]
    running.join(20)
    assert sorted(figures(folders)) == ["1", "2"]


def test_what_workers_write_meanwhile_does_not_disturb(fill: Fill, tmp_path: Path) -> None:
    folders = fill(*(row(str(n)) for n in range(1000)))
    archive, ended = Archive(folders, "events", "one"), threading.Event()

    def go_on() -> None:
        offset = 1000
        while not ended.is_set():
            archive.write({0: {offset: row(str(offset))}})
            offset += 1

    writer = threading.Thread(target=go_on)
    writer.start()
    try:
        rows = [enrich(folders, NOON, MEMORY_MB).rows for _ in range(3)]
    finally:
        ended.set()
        writer.join()
    assert 1000 <= rows[0] <= rows[1] <= rows[2]
    assert users(tmp_path) == list(range(len(users(tmp_path))))
