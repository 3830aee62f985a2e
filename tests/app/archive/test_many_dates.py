"""One event of each day for years: a flush of very many files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.archive.archive import MANY, Archive
from app.archive.files import Folders
from tests.support.archive import files, numbered, users

DAYS = 2 * MANY


def write(folder: Path, days: int = DAYS) -> int:
    """Archive an event of each day, by a writer that just started."""
    return Archive(Folders(folder), "events", "one").write({0: numbered(range(days), *range(DAYS))})


def test_it_waits_for_the_disk_a_few_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000 dates were 3,000 waits."""
    waits, fsync = list[int](), os.fsync

    def counted(handle: int) -> None:
        waits.append(handle)
        fsync(handle)

    monkeypatch.setattr(os, "fsync", counted)
    assert write(tmp_path) == DAYS
    assert len(waits) < 5
    assert users(tmp_path) == list(range(DAYS))
    assert len({file.parent for file in files(tmp_path)}) == DAYS
    assert write(tmp_path) == 0
    assert write(tmp_path, 2 * DAYS) == DAYS, "with later ones, after a crash"
    assert users(tmp_path) == list(range(2 * DAYS))


@pytest.mark.parametrize("appeared", [0, 1, DAYS - 1])
def test_a_crash_between_the_files_loses_and_doubles_nothing(
    appeared: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, rename = 0, Path.rename

    def dies(scratch: Path, final: Path) -> Path:
        nonlocal done
        if done == appeared:
            raise KeyboardInterrupt
        done += 1
        return rename(scratch, final)

    monkeypatch.setattr(Path, "rename", dies)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path)
    monkeypatch.undo()
    assert len(files(tmp_path)) == appeared
    assert write(tmp_path) == DAYS - appeared
    assert users(tmp_path) == list(range(DAYS))
