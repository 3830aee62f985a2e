"""What waits for the next files, and when it may be committed."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from app.archive.buffer import ROWS_MAX, ArchiveBuffer
from app.archive.messages import Runs
from app.archive.reached import ArchivedTo
from app.archive.rows import ArchiveRow
from tests.support.archive import numbered, row


class Notes:
    """Stands in for an archive: keeps what it is given, or fails."""

    def __init__(self) -> None:
        self.written: list[dict[int, list[int]]] = []
        self.reached: list[dict[int, int]] = []
        self.full = False

    def seen(self, partition: int) -> None:
        assert partition >= 0

    def position(self, partition: int) -> ArchivedTo:
        return ArchivedTo(partition + 7, whole=True)

    def write(
        self,
        rows: Mapping[int, Mapping[int, ArchiveRow]],
        runs: Runs,
        reached: Mapping[int, int],
    ) -> int:
        assert not runs
        if self.full:
            raise OSError(28, "No space left on device")
        self.reached.append(dict(reached))
        if not rows:
            return 0
        self.written.append({partition: sorted(found) for partition, found in rows.items()})
        return sum(map(len, rows.values()))


@pytest.fixture
def notes() -> Notes:
    """Return the archive of the test."""
    return Notes()


@pytest.fixture
def buffer(notes: Notes) -> ArchiveBuffer:
    """Return a buffer of `notes`."""

    async def open_archive() -> Notes:
        return notes

    return ArchiveBuffer(open_archive, clock=iter(range(100)).__next__)


async def test_nothing_is_acknowledged_before_it_is_written(
    buffer: ArchiveBuffer, notes: Notes
) -> None:
    done: list[int] = []
    buffer.add(0, numbered([1, 2]), lambda: done.append(1))
    buffer.add(1, numbered([7]), lambda: done.append(2))
    assert done == []
    await buffer.flush()
    assert done == [1, 2]
    assert notes.written == [{0: [1, 2], 1: [7]}]
    await buffer.flush()
    assert len(notes.written) == 1


async def test_a_write_that_fails_acknowledges_nothing(buffer: ArchiveBuffer, notes: Notes) -> None:
    done: list[int] = []
    buffer.add(0, numbered([1]), lambda: done.append(1))
    notes.full = True
    with pytest.raises(OSError, match="No space"):
        await buffer.flush()
    assert done == []


async def test_what_is_delivered_again_waits_once(buffer: ArchiveBuffer, notes: Notes) -> None:
    for offsets in ([1, 2], [1, 2, 3]):
        buffer.add(0, numbered(offsets), lambda: None)
    await buffer.flush()
    assert notes.written == [{0: [1, 2, 3]}]


async def test_the_age_is_that_of_the_oldest_row(buffer: ArchiveBuffer) -> None:
    assert buffer.age_s() == 0
    buffer.add(0, numbered([1]), lambda: None)
    buffer.add(0, numbered([2]), lambda: None)
    assert [buffer.age_s(), buffer.age_s()] == [1, 2]
    await buffer.flush()
    assert buffer.age_s() == 0


async def test_it_is_full_at_its_limit(buffer: ArchiveBuffer) -> None:
    buffer.add(0, dict.fromkeys(range(ROWS_MAX - 1), numbered([0])[0]), lambda: None)
    assert not buffer.is_full()
    buffer.add(1, numbered([0]), lambda: None)
    assert buffer.is_full()


async def test_long_texts_make_it_full_before_many_rows_do(buffer: ArchiveBuffer) -> None:
    long = row("u" * 10_000, event_category="c" * 22_000)
    for offset in range(1000):
        assert not buffer.is_full()
        buffer.add(0, {offset: long}, lambda: None)
    assert buffer.is_full()
    await buffer.flush()
    assert not buffer.is_full()


async def test_how_far_it_is_comes_with_the_next_flush_also_without_a_row(
    buffer: ArchiveBuffer, notes: Notes
) -> None:
    assert await buffer.position(1) == (8, True)
    buffer.reach(0, 10)
    buffer.add(0, numbered([11]), lambda: None)
    buffer.reach(0, 12)
    buffer.reach(1, 4)
    assert [buffer.age_s(), buffer.age_s()] == [1, 2]
    await buffer.flush()
    assert (notes.written, notes.reached) == ([{0: [11]}], [{0: 12, 1: 4}])
    assert buffer.age_s() == 0
    buffer.reach(1, 5)
    await buffer.flush()
    await buffer.flush()
    assert (notes.written, notes.reached[1:]) == ([{0: [11]}], [{1: 5}])
