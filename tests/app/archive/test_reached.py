"""Up to where an archive is whole: what its folder says, and what is made of a folder without."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from app.archive.archive import Archive
from app.archive.files import Folders
from app.archive.reached import ArchiveMemory
from tests.support.archive import numbered


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return opened(tmp_path)


def opened(folder: Path, topic: str = "events") -> Archive:
    return Archive(Folders(folder), topic, "one")


def test_it_says_what_was_written_and_never_less(archive: Archive, tmp_path: Path) -> None:
    archive.write({0: numbered([3, 5])}, reached={0: 40, 1: 7})
    archive.write({}, reached={0: 30, 2: 9})  # of a worker that hung
    assert [opened(tmp_path).position(p) for p in range(4)] == [
        (40, True),
        (7, True),
        (9, True),
        None,
    ]
    assert opened(tmp_path, "other").position(0) is None


async def test_it_remembers_what_it_looked_at_whatever_it_found(
    archive: Archive, tmp_path: Path
) -> None:
    archive.write({0: numbered([3, 5]), 1: numbered([9])}, reached={0: 40, 2: 7})
    memory = ArchiveMemory(Folders(tmp_path), "events")
    assert await memory.positions() == {0: 40, 1: 10, 2: 7}


def test_a_folder_that_was_put_back_says_what_it_said_then(
    archive: Archive, tmp_path: Path
) -> None:
    archive.write({0: numbered([3])}, reached={0: 10})
    shutil.copytree(tmp_path, tmp_path.parent / "then")
    archive.write({0: numbered([13])}, reached={0: 20})
    assert opened(tmp_path.parent / "then").position(0) == (10, True)


def test_files_without_it_tell_by_their_names(archive: Archive, tmp_path: Path) -> None:
    archive.write({0: numbered([3, 5])}, reached={0: 10})
    shutil.rmtree(tmp_path / ".archive")  # as out of a backup
    assert [opened(tmp_path).position(p) for p in (0, 1)] == [(6, False), (0, False)]


def test_where_there_is_nothing_nothing_is_archived(tmp_path: Path) -> None:
    assert opened(tmp_path).position(0) == (0, False)


def test_an_older_version_that_had_no_app_event_left_nothing_out(tmp_path: Path) -> None:
    (tmp_path / ".archive").mkdir()
    assert opened(tmp_path).position(0) is None
