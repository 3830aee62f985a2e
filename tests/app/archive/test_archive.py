"""The files of the archive: what becomes a row, and each row once."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.archive import archive
from app.archive.archive import SMALL_FILES, Archive, parts_of
from app.archive.files import ArchivePart, Folders, exchange, publish
from app.archive.rows import ArchiveRow, app_rows, day_of
from app.errors import ArchiveBusyError
from tests.support.archive import NOON_US, files, numbered, read, row, users
from tests.support.batches import RECORD_MS, batch_of

RECORD_US = RECORD_MS * 1000
OpenArchive = Callable[..., Archive]


@pytest.fixture
def open_archive(tmp_path: Path) -> OpenArchive:
    """Return a factory of archives in the folder of the test."""

    def make(topic: str = "events", cluster: str = "one") -> Archive:
        return Archive(Folders(tmp_path), topic, cluster)

    return make


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (
            {"user_id": 1, "app_name": "p", "event_action": "scroll", "event_value": 12},
            ArchiveRow(RECORD_US, "1", "p", "scroll", None, 12.0),
        ),
        (
            {"app_name": "p", "event_action": None, "event_category": "c", "event_value": None},
            ArchiveRow(RECORD_US, None, "p", None, "c", None),
        ),
        (
            {"type": "x", "app_name": "", "timestamp": "2026-09-21T01:00:00.5+01:00"},
            ArchiveRow(1_789_948_800_500_000, None, "", "x", None, None),
        ),
        ({"type": "CLICK", "url": "/a"}, None),
        ({"type": "CLICK", "app_name": None}, None),
        ({"type": "CLICK", "properties": {"app_name": "p"}}, None),
        ({"app_name": "p"}, None),
        ([], None),
    ],
)
def test_an_event_with_an_app_name_is_a_row(event: object, expected: ArchiveRow | None) -> None:
    found = app_rows(batch_of([json.dumps(event).encode()], first=7))
    assert found == ({} if expected is None else {7: expected})


def test_a_name_spelled_with_an_escape_is_seen() -> None:
    value = b'{"event_action":"scroll","app_\\u006eame":"p"}'
    assert app_rows(batch_of([b"", value])) == {
        1: ArchiveRow(RECORD_US, None, "p", "scroll", None, None)
    }


def test_each_date_has_a_folder_and_the_names_carry_the_offsets(
    open_archive: OpenArchive, tmp_path: Path
) -> None:
    assert open_archive().write({2: numbered(range(10, 14), 0, 1), 0: numbered([5])}) == 5
    assert [str(file.relative_to(tmp_path / "archive")) for file in files(tmp_path)] == [
        "date=2026-09-21/events-2-000000000011-000000000013.one.parquet",
        "date=2026-09-22/events-0-000000000005-000000000005.one.parquet",
        "date=2026-09-22/events-2-000000000010-000000000012.one.parquet",
    ]


def test_the_columns_are_as_documented(open_archive: OpenArchive, tmp_path: Path) -> None:
    open_archive().write({0: {1: row(), 2: row(None, None, event_category=None, event_value=None)}})
    first, second = read(tmp_path)
    assert {**first, "event_time": first["event_time"].isoformat()} == {
        "event_time": "2026-09-22T12:00:00+00:00",
        "user_id": "1",
        "app_name": "product_1",
        "event_action": "scroll",
        "event_category": "category_2",
        "event_value": 12.0,
    }
    assert [name for name, value in second.items() if value is None] == [
        *("user_id", "event_action", "event_category", "event_value")
    ]


def test_a_date_is_the_one_in_utc() -> None:
    midnight = NOON_US + 43_200_000_000
    assert [day_of(midnight - 1), day_of(midnight)] == ["2026-09-22", "2026-09-23"]


def test_rows_that_come_again_in_other_batches_change_nothing(
    open_archive: OpenArchive, tmp_path: Path
) -> None:
    opened = open_archive()
    assert opened.write({0: numbered(range(100), 0, 1, 2)}) == 100
    assert opened.write({0: numbered(range(100), 0, 1, 2)}) == 0
    assert opened.write({0: numbered(range(40, 120), 0, 1, 2)}) == 20
    assert open_archive().write({0: numbered(range(130), 0, 1, 2)}) == 10
    assert users(tmp_path) == list(range(130))


@pytest.mark.parametrize("appeared", range(4))
def test_a_crash_between_the_files_of_one_flush_loses_and_doubles_nothing(
    appeared: int, open_archive: OpenArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = 0

    def die_after_some(scratch: Path, final: Path) -> None:
        nonlocal done
        if done == appeared:
            raise KeyboardInterrupt
        done += 1
        publish(scratch, final)

    monkeypatch.setattr(archive, "publish", die_after_some)
    with pytest.raises(KeyboardInterrupt):
        open_archive().write({0: numbered(range(90), 0, 1), 1: numbered(range(90, 180), 0, 1)})
    assert len(files(tmp_path)) == appeared
    monkeypatch.undo()
    opened = open_archive()
    opened.write({0: numbered(range(50), 0, 1)})
    opened.write({0: numbered(range(50, 90), 0, 1), 1: numbered(range(90, 180), 0, 1)})
    assert users(tmp_path) == list(range(180))
    assert list((tmp_path / ".archive/new").iterdir()) == []


def test_a_worker_that_hung_and_goes_on_doubles_nothing(
    open_archive: OpenArchive, tmp_path: Path
) -> None:
    frozen, successor = open_archive(), open_archive()
    frozen.write({0: numbered(range(100))})
    successor.write({0: numbered(range(100, 150))})
    successor.write({0: numbered(range(150, 260))})
    assert frozen.write({0: numbered(range(100, 200))}) == 0
    assert users(tmp_path) == list(range(260))


def test_offsets_of_another_cluster_or_topic_are_other_events(
    open_archive: OpenArchive, tmp_path: Path
) -> None:
    for number, place in enumerate([("events", "one"), ("events", "t/w o"), ("a-events", "one")]):
        rows = {n: row(user=str(10 * number + n)) for n in range(10)}
        assert open_archive(*place).write({0: rows}) == 10
        assert open_archive(*place).write({0: rows}) == 0
    assert users(tmp_path) == list(range(30))


@pytest.mark.parametrize("topic", ["events", "my.app-events", "a-1-2"])
def test_a_file_name_says_what_is_in_it(topic: str) -> None:
    part = ArchivePart("JSPpTh-rTb6m_8QJvKiMbQ", topic, 3, 0, 1_234_567_890_123)
    assert ArchivePart.of(str(part)) == part
    assert ArchivePart.of("part-0.parquet") is None
    assert ArchivePart.of(f"{part}.tmp") is None


def test_many_small_files_become_one_of_the_same_rows(
    open_archive: OpenArchive, tmp_path: Path
) -> None:
    opened, rng, sent = open_archive(), random.Random(3), 0
    for _ in range(5 * SMALL_FILES):
        count = 2 * rng.randrange(1, 15)
        opened.write({n: numbered(range(sent + n, sent + count, 2)) for n in range(2)})
        sent += count
    assert users(tmp_path) == list(range(sent))
    assert len(files(tmp_path)) < 3 * SMALL_FILES
    assert opened.write({n: numbered(range(n, sent, 2)) for n in range(2)}) == 0
    assert list((tmp_path / ".archive/new").iterdir()) == []


def test_a_merged_file_says_what_is_in_it_where_one_range_lies_in_another(
    open_archive: OpenArchive, tmp_path: Path
) -> None:
    opened = open_archive()
    for n in range(SMALL_FILES - 1):
        opened.write({0: numbered([n])})
    opened.write({0: numbered(range(50, 60))})
    opened.write({0: numbered(range(40, 70))})  # of one that hung: what is there lies in between
    (merged,) = parts_of(files(tmp_path)[0].parent)
    assert (merged.first, merged.last) == (0, 69)
    assert open_archive().write({0: numbered(range(60, 70))}) == 0
    assert users(tmp_path) == [*range(SMALL_FILES - 1), *range(40, 70)]


def test_what_is_large_enough_is_left_alone(
    open_archive: OpenArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_archive()
    opened.write({0: numbered(range(3000))})
    monkeypatch.setattr(archive, "SMALL_BYTES", files(tmp_path)[0].stat().st_size)
    for first in range(3000, 3000 + SMALL_FILES):
        opened.write({0: numbered([first])})
    found = [(part.first, part.last) for part in sorted(parts_of(files(tmp_path)[0].parent))]
    assert found == [(0, 2999), (3000, 2999 + SMALL_FILES)]


def test_nothing_is_merged_while_somebody_reads(open_archive: OpenArchive, tmp_path: Path) -> None:
    opened = open_archive()
    opened.write({0: numbered([0])})
    with Folders(tmp_path).reading():
        for n in range(1, SMALL_FILES + 5):
            opened.write({0: numbered([n])})
        assert len(files(tmp_path)) == SMALL_FILES + 5
    opened.write({0: numbered([SMALL_FILES + 5])})
    assert len(files(tmp_path)) == 1
    assert users(tmp_path) == list(range(SMALL_FILES + 6))


@pytest.mark.parametrize("step", ["merge", "exchange", "rmtree"])
def test_a_crash_while_files_are_merged_loses_and_doubles_nothing(
    step: str, open_archive: OpenArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    opened = open_archive()
    for n in range(SMALL_FILES):
        opened.write({0: numbered([n])})
    with monkeypatch.context() as patch:
        if step == "rmtree":
            patch.setattr("app.archive.archive.exchange", exchange_and(die))
        else:
            patch.setattr(f"app.archive.archive.{step}", die)
        with pytest.raises(KeyboardInterrupt):
            opened.write({0: numbered([SMALL_FILES])})
    assert users(tmp_path) == list(range(SMALL_FILES + 1))
    open_archive().write({0: numbered(range(SMALL_FILES + 5))})
    assert users(tmp_path) == list(range(SMALL_FILES + 5))
    assert list((tmp_path / ".archive/new").iterdir()) == []


def exchange_and(then: Callable[[], None]) -> Callable[[Path, Path], None]:
    def both(one: Path, other: Path) -> None:
        exchange(one, other)
        then()

    return both


def test_where_folders_cannot_be_swapped_small_files_stay(
    open_archive: OpenArchive,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(*_: Path) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(archive, "exchange", refuse)
    opened = open_archive()
    for n in range(SMALL_FILES + 1):
        opened.write({0: numbered([n])})
    assert users(tmp_path) == list(range(SMALL_FILES + 1))
    assert "small files stay" in caplog.text


def test_a_writer_does_not_wait_for_ever_for_another(
    open_archive: OpenArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "BUSY_WAIT_S", 0.1)
    with Folders(tmp_path).writing(0), pytest.raises(ArchiveBusyError):
        open_archive().write({0: numbered([1])})
    assert open_archive().write({0: numbered([1])}) == 1
