"""What is new in a log that grows, is rotated, copied, emptied and packed; on real files."""

from __future__ import annotations

import gzip
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from app.errors import StartError
from app.ingest.growing import GrowingLog
from app.ingest.importer import LINE_MAX_BYTES
from app.ingest.log_file import READ_BYTES, LogPlace


class Reader:
    """Reads a log as the command does; dies and comes back with its places."""

    made: ClassVar[list[Reader]] = []

    def __init__(self, path: Path) -> None:
        self.made.append(self)
        self.path, self.said = path, list[str]()
        self.log = GrowingLog(path, {}, self.said.append)
        self.log.pass_older()

    def new(self) -> list[str]:
        """Return the lines that are new."""
        found = []
        for name, piece in self.log.pieces():
            found += [text.decode() for _, text in piece.lines]
            self.log.places[name] = piece.after
        return found

    def again(self) -> None:
        """Lose everything but the places."""
        self.log.close()
        self.log = GrowingLog(self.path, dict(self.log.places), self.said.append)


def write(path: Path, *lines: str, end: str = "\n") -> None:
    with path.open("a") as file:
        file.write("\n".join(lines) + end)


def aged(path: Path) -> None:
    """Make a file look as if nobody writes to it any more."""
    os.utime(path, (0, 0))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


@pytest.fixture(autouse=True)
def packed_at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("app.ingest.growing.PACKING_S", -1.0)
    yield
    while Reader.made:
        Reader.made.pop().log.close()


def test_whole_lines_come_once_and_a_cut_one_waits(path: Path) -> None:
    write(path, "a", "b", "c", end="")
    reader = Reader(path)
    assert reader.new() == ["a", "b"]
    assert reader.new() == []
    write(path, "", "d")
    assert reader.new() == ["c", "d"]
    reader.again()
    assert reader.new() == []
    assert reader.log.at == next(p for p in reader.log.places.values() if p.offset == 8)


def test_where_it_is_follows_each_piece_that_is_stored(path: Path) -> None:
    """Whoever stops right behind one says how far it came."""
    write(path, "a", "b")
    log = Reader(path).log
    assert log.at is None
    for read in (4, 6):
        name, piece = next(log.pieces())
        log.places[name] = piece.after
        assert log.at is not None
        assert log.at.offset == read
        write(path, "c")


def test_numbers_go_on_over_a_death(path: Path) -> None:
    write(path, "a", "b\r", "")
    reader = Reader(path)
    ((_, piece),) = reader.log.pieces()  # not stored: it comes again
    assert piece.lines == [(1, b"a"), (2, b"b"), (3, b"")]
    assert reader.new() == ["a", "b", ""]
    reader.again()
    write(path, "c")
    ((_, piece),) = reader.log.pieces()
    assert piece.lines == [(4, b"c")]


def test_an_empty_file_and_a_missing_one_wait(path: Path) -> None:
    reader = Reader(path)
    assert reader.new() == []
    path.touch()
    assert reader.new() == []
    write(path, "a", end="")
    assert reader.new() == []
    write(path, "")
    assert reader.new() == ["a"]


@pytest.mark.parametrize("dies", [False, True])
def test_renamed_and_made_anew(path: Path, *, dies: bool) -> None:
    write(path, "a", "b")
    reader = Reader(path)
    assert reader.new() == ["a", "b"]
    if dies:
        reader.again()
    path.rename(f"{path}.1")
    write(Path(f"{path}.1"), "c")  # the server has not opened the new one
    assert sorted(reader.new()) == ["c"]
    write(path, "d")
    write(Path(f"{path}.1"), "e")  # a worker of the server that is late
    assert sorted(reader.new()) == ["d", "e"]
    reader.again()
    assert reader.new() == []


@pytest.mark.parametrize("dies", [False, True])
def test_copied_and_emptied(path: Path, *, dies: bool) -> None:
    write(path, "a", "b")
    reader = Reader(path)
    assert reader.new() == ["a", "b"]
    write(path, "c")
    if dies:
        reader.again()
    shutil.copy(path, f"{path}.1")
    os.truncate(path, 0)
    write(path, "d", "e", "f", "g")
    assert sorted(reader.new()) == ["c", "d", "e", "f", "g"]
    reader.again()
    assert reader.new() == []


def test_a_copy_that_is_not_whole_waits(path: Path) -> None:
    write(path, "a", "b" * 9, "c")
    reader = Reader(path)
    assert len(reader.new()) == 3
    whole = path.read_bytes()
    Path(f"{path}.1").write_bytes(whole[:5])
    assert reader.new() == []
    Path(f"{path}.1").write_bytes(whole)
    assert reader.new() == []


def test_a_clock_that_was_set_back_is_not_waited_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, "a", "one log")
    reader = Reader(path)
    assert len(reader.new()) == 2
    path.rename(f"{path}.1")
    write(Path(f"{path}.2"), "a", "another that begins like it")
    Path(f"{path}.3.gz").write_bytes(gzip.compress(b"packed\n"))
    later = time.time() + 3600
    os.utime(f"{path}.2", (later, later))
    monkeypatch.setattr("app.ingest.growing.PACKING_S", 2.0)
    monkeypatch.setattr("app.ingest.growing.time.time", lambda: later - 7200)
    assert sorted(reader.new()) == ["a", "another that begins like it", "packed"]


def test_a_copy_without_the_last_lines_is_no_new_log(path: Path) -> None:
    write(path, *(f"line {n}" for n in range(20_000)))
    reader = Reader(path)
    assert len(reader.new()) == 20_000
    Path(f"{path}.1").write_bytes(path.read_bytes()[:100_000])
    aged(Path(f"{path}.1"))
    assert reader.new() == []


def test_several_rotations_while_nobody_reads(path: Path) -> None:
    write(path, "a0")
    reader = Reader(path)
    assert reader.new() == ["a0"]
    reader.again()
    for number in range(1, 5):
        write(path, f"rest {number}")
        for older in range(number, 1, -1):
            Path(f"{path}.{older - 1}").rename(f"{path}.{older}")
        path.rename(f"{path}.1")
        write(path, f"first {number}")
    packed = Path(f"{path}.3")
    Path(f"{packed}.gz").write_bytes(gzip.compress(packed.read_bytes()))
    packed.unlink()
    expected = [f"{word} {number}" for number in range(1, 5) for word in ("first", "rest")]
    assert sorted(reader.new()) == sorted(expected)
    reader.again()
    assert reader.new() == []


def test_what_was_packed_meanwhile_is_read_from_its_place(path: Path) -> None:
    write(path, "a", "b")
    reader = Reader(path)
    assert reader.new() == ["a", "b"]
    reader.again()
    write(path, "c")
    packed = gzip.compress(path.read_bytes())
    path.unlink()
    Path(f"{path}.1.gz").write_bytes(packed[:-9])  # gzip is still at work
    assert reader.new() == []
    Path(f"{path}.1.gz").write_bytes(packed)
    assert reader.new() == ["c"]


def test_what_was_rotated_long_before_the_first_start_is_left_alone(path: Path) -> None:
    write(Path(f"{path}.1"), "old", "older")
    Path(f"{path}.2.gz").write_bytes(gzip.compress(b"oldest\n"))
    for older in (f"{path}.1", f"{path}.2.gz"):
        aged(Path(older))
    write(path, "a")
    write(Path(f"{path}.3"), "just rotated")
    reader = Reader(path)
    assert sorted(reader.new()) == ["a", "just rotated"]
    write(Path(f"{path}.1"), "late")
    assert reader.new() == ["late"]
    reader.again()
    assert reader.new() == []


def test_logs_that_begin_with_the_same_line_are_told_apart(path: Path) -> None:
    write(path, "start", "a", "b")
    reader = Reader(path)
    assert reader.new() == ["start", "a", "b"]
    path.rename(f"{path}.1")
    write(path, "start", "c", "d", "e")
    assert reader.new() == ["start", "c", "d", "e"]
    reader.again()
    assert reader.new() == []


def test_long_lines_come_cut_and_do_not_hold_up_the_next(path: Path) -> None:
    long = "x" * (READ_BYTES + 5)
    write(path, "a", long, end="")
    reader = Reader(path)
    assert reader.new() == ["a"]
    write(path, "", "b")
    found = reader.new()
    assert found == [long[: LINE_MAX_BYTES + 2], "b"]


def test_what_is_no_log_is_left_out_and_named(path: Path) -> None:
    write(path, "a")
    for name in ("access.log.1.xz", "access.log.2", "access.log.3.gz", "access.logs", "other"):
        (path.parent / name).write_bytes(b"\x00\x01 no text\n")
    reader = Reader(path)
    assert reader.new() == ["a"]
    (said,) = reader.said
    assert "access.log.3.gz is left out" in said
    assert reader.new() == []


def test_a_folder_in_its_place_is_one_error(path: Path) -> None:
    reader = Reader(path)
    path.mkdir()
    with pytest.raises(StartError, match=r"access\.log cannot be read"):
        reader.new()


def test_a_place_of_nothing_is_no_place_of_a_log(path: Path) -> None:
    reader = Reader(path)
    assert list(reader.log.places.values()) == [LogPlace("")]
