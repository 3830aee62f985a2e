"""A user taken out of files: all rows stay, under another name."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from app.archive.archive import Archive
from app.archive.copies import copy_archive
from app.archive.enrich import FILE, enrich
from app.archive.files import Folders, publish
from app.archive.forget import forget_dates, forget_in_archive
from tests.support import archive


def test_rows_stay_under_another_name(tmp_path: Path) -> None:
    rows = {n: archive.row(user=user) for n, user in enumerate(["a", "b", None, "a", "ab"])}
    days = archive.numbered(range(10, 20), 0, 1)
    Archive(Folders(tmp_path), "events", "c").write({0: rows, 1: days})
    names = [file.name for file in archive.files(tmp_path)]
    before = archive.read(tmp_path)
    assert forget_in_archive(Folders(tmp_path), "a", "nobody") == 2
    renamed = [row | {"user_id": "nobody"} if row["user_id"] == "a" else row for row in before]
    assert archive.read(tmp_path) == renamed
    assert [file.name for file in archive.files(tmp_path)] == names
    assert forget_in_archive(Folders(tmp_path), "a", "nobody") == 0


def test_who_dies_in_between_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    rows = {
        n: archive.row(user="a", event_time=archive.NOON_US - n * archive.DAY_US) for n in range(3)
    }
    Archive(Folders(tmp_path), "events", "c").write({0: rows})
    published: list[Path] = []

    def dies(scratch: Path, final: Path) -> None:
        if published:
            raise KeyboardInterrupt
        published.append(final)
        publish(scratch, final)

    monkeypatch.setattr("app.archive.forget.publish", dies)
    with pytest.raises(KeyboardInterrupt):
        forget_in_archive(Folders(tmp_path), "a", "nobody")
    monkeypatch.undo()
    assert Folders(tmp_path).outdated.read()
    assert sorted(row["user_id"] for row in archive.read(tmp_path)) == ["a", "a", "nobody"]
    assert forget_in_archive(Folders(tmp_path), "a", "nobody") == 2
    assert {row["user_id"] for row in archive.read(tmp_path)} == {"nobody"}


def test_enriched_is_outdated_until_it_is_made_of_what_is_there(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    Archive(folders, "events", "c").write({0: archive.numbered(range(2))})
    enrich(folders, None, 256)
    for user in "10":
        before = folders.outdated.read()
        assert forget_in_archive(folders, "c", "nobody") == 0
        assert folders.outdated.read() == before
        assert forget_in_archive(folders, user, "nobody") == 1
        assert folders.outdated.read() != before
    folders.outdated.clear(before)  # of an enrich that began before the last
    assert folders.outdated.read()
    enrich(folders, None, 256)
    assert not folders.outdated.read()
    named = pq.read_table(folders.enriched / FILE)["user_id"].to_pylist()
    assert named == ["nobody"] * 2


def test_there_need_be_no_archive(tmp_path: Path) -> None:
    assert forget_in_archive(Folders(tmp_path), "a", "nobody") == 0
    assert [*tmp_path.iterdir()] == []


def test_files_of_old_dates_go(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    Archive(folders, "events", "c").write({0: archive.numbered(range(10, 20), 0, 1, 40)})
    Archive(folders, "events", "c").write({1: archive.numbered(range(10), 1)})
    Archive(folders, "events", "former").write({1: archive.numbered(range(10), 1)})
    first = datetime.fromtimestamp(archive.NOON_US / 1_000_000, UTC).date()
    # The worker may not have committed what it has of partition 1, and write it again.
    assert forget_dates(folders, first, {0: 20, 1: 9}, "c") == 3
    left = [file.name.split("-")[1] for file in archive.files(tmp_path)]
    assert sorted(left) == ["0", "1"]
    assert forget_dates(folders, first, {0: 20, 1: 10}, "c") == 1
    assert [*(tmp_path / "archive").iterdir()] == [folders.date(f"{first}")]
    assert forget_dates(folders, first, {0: 20, 1: 10}, "c") == 0


@pytest.mark.parametrize(
    "forget",
    [
        lambda folders: forget_in_archive(folders, "a", "nobody"),
        lambda folders: forget_dates(folders, date(2100, 1, 1), {0: 99}, "c"),
    ],
)
def test_no_writer_waits_for_a_query(tmp_path: Path, forget: Callable[[Folders], int]) -> None:
    folders = Folders(tmp_path)
    Archive(folders, "events", "c").write({0: {1: archive.row(user="a")}})
    with ThreadPoolExecutor() as pool:
        with folders.reading():
            forgetting = pool.submit(forget, folders)
            for offset in range(2, 9):  # as long as it tries
                Archive(folders, "events", "c").write({0: {offset: archive.row(user="b")}})
            assert forgetting.running()
        assert forgetting.result() > 0


def test_a_backup_waits_for_no_query(tmp_path: Path) -> None:
    folders = Folders(tmp_path / "base")
    Archive(folders, "events", "c").write({0: archive.numbered(range(3))})
    with folders.reading():  # as enrich does for minutes
        assert copy_archive(folders, tmp_path / "backup") == 1
    assert archive.users(tmp_path / "backup") == [0, 1, 2]


def test_there_need_be_no_files(tmp_path: Path) -> None:
    assert forget_dates(Folders(tmp_path), date(2026, 5, 1), {}, "c") == 0
