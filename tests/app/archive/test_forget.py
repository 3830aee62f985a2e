"""A user taken out of files: all rows stay, under another name."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.archive.archive import Archive
from app.archive.files import Folders, publish
from app.archive.forget import forget_in_archive
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
    assert sorted(row["user_id"] for row in archive.read(tmp_path)) == ["a", "a", "nobody"]
    assert forget_in_archive(Folders(tmp_path), "a", "nobody") == 2
    assert {row["user_id"] for row in archive.read(tmp_path)} == {"nobody"}


def test_there_need_be_no_archive(tmp_path: Path) -> None:
    assert forget_in_archive(Folders(tmp_path), "a", "nobody") == 0
    assert [*tmp_path.iterdir()] == []
