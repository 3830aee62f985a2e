"""Which app events the archive leaves out, as they were sent before."""

from __future__ import annotations

import json
from pathlib import Path

from app.archive.archive import Archive
from app.archive.files import Folders
from app.archive.rows import app_rows
from app.counting.duplicates import HOUR_MS, MARGIN_MS
from tests.support.archive import app_events, files, read
from tests.support.batches import RECORD_MS, batch_of


def sent(*ids: str | None, app: bool = True) -> list[bytes]:
    """Return an app event, or another one, for each message_id."""
    return [
        body if app else json.dumps({"type": "A", "message_id": name}).encode()
        for name in ids
        for body in app_events([1], message_id=name)
    ]


class Worker:
    """An archive worker: gathers batches, and writes when it is told."""

    def __init__(self, folder: Path, hours: int = 24) -> None:
        self.archive = Archive(Folders(folder), "events", "one", hours)
        self.seen = self.archive.seen(0)

    def take(
        self, values: list[bytes], first: int, at_ms: int = RECORD_MS, *, write: bool = True
    ) -> list[int]:
        """Return the offsets that become rows."""
        rows = app_rows(batch_of(values, first=first, timestamp_ms=at_ms), self.seen)
        if write:
            runs = list(self.seen.take_fresh()) if self.seen is not None else []
            self.archive.write({0: rows} if rows else {}, {0: runs} if runs else {})
        return sorted(rows)


def kept(folder: Path) -> int:
    return len(list((folder / ".archive/messages").rglob("*.run")))


def test_an_app_event_that_is_sent_again_is_archived_once(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    assert worker.take(sent("a", "b", "a", None, None), 0) == [0, 1, 3, 4]
    assert worker.take(sent("b", "c"), 5) == [6]
    assert Worker(tmp_path).take(sent("c", "a", "d"), 7) == [9]
    assert len(read(tmp_path)) == 6


def test_the_first_may_be_no_app_event(tmp_path: Path) -> None:
    assert Worker(tmp_path).take(sent("a", app=False), 0) == []
    assert files(tmp_path) == []
    assert Worker(tmp_path).take(sent("a", "b"), 1) == [2]


def test_what_was_not_written_is_judged_again(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    worker.take(sent("a"), 0)
    worker.take(sent("b", "a", "b"), 1, write=False)
    worker = Worker(tmp_path)
    assert worker.take(sent("b", "a", "b"), 1) == [1]
    assert Worker(tmp_path).take(sent("b", "a", "b"), 1) == [1], "all is there, and comes again"


def test_old_message_ids_go(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    worker.take(sent("a"), 0)
    day = RECORD_MS + 24 * HOUR_MS
    assert worker.take(sent("a"), 1, day) == [1]
    assert kept(tmp_path) == 2
    worker.take(sent("b"), 2, day + MARGIN_MS + 1)
    assert kept(tmp_path) == 2
    assert Worker(tmp_path).take(sent("a"), 3, day + 1) == []


def test_without_hours_nothing_is_left_out(tmp_path: Path) -> None:
    assert Worker(tmp_path, hours=0).take(sent("a", "a"), 0) == [0, 1]
    assert kept(tmp_path) == 0


def test_a_uuid_is_a_message_id_where_it_shall_be(tmp_path: Path) -> None:
    seen = Worker(tmp_path).seen
    batch = batch_of(app_events([1, 2], uuid="u"))
    assert sorted(app_rows(batch, seen, by_uuid=True)) == [0]
    assert sorted(app_rows(batch, None)) == [0, 1]


def test_an_empty_uuid_names_no_event(tmp_path: Path) -> None:
    seen = Worker(tmp_path).seen
    batch = batch_of(app_events([1, 2], uuid=""))
    assert sorted(app_rows(batch, seen, by_uuid=True)) == [0, 1]
