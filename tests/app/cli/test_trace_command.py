"""event-counter trace: the answer in words, and the parquet file of an app event."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.archive.files import Folders
from app.cli.trace import archived, printable_lines
from app.settings import Settings

EVENT = {"type": "scroll", "app_name": "a", "timestamp": "2026-11-28T10:00:00Z"}
FOUND: dict[str, Any] = {
    "position": "3:1500",
    "state": "counted",
    "code": None,
    "event": EVENT,
    "received_at": "2026-11-28T10:00:01Z",
    "stored": True,
    "counted_in": [
        {"counter": "events_by_type", "key": "", "label": "scroll", "start": None},
        {"counter": "views", "key": "/a", "label": "", "start": "2026-11-28T10:00:00Z"},
    ],
}


@pytest.mark.parametrize(
    ("changes", "file"),
    [
        ({}, "events-3-000000001200-000000001931.c.parquet"),
        ({"position": "3:1932"}, None),
        ({"position": "2:1500"}, None),
        ({"state": "duplicate"}, None),
        ({"event": {**EVENT, "timestamp": "2026-11-27T10:00:00Z"}}, None),
        ({"event": {"type": "VIEW"}}, None),
        ({"state": "rejected", "event": None}, None),
    ],
)
def test_an_app_event_is_in_the_file_whose_name_has_its_offset(
    tmp_path: Path, changes: dict[str, Any], file: str | None
) -> None:
    folder = tmp_path / "archive/date=2026-11-28"
    folder.mkdir(parents=True)
    for name in ("events-3-000000000000-000000001199", "events-3-000000001200-000000001931"):
        (folder / f"{name}.c.parquet").touch()
    found = archived(Folders(tmp_path), Settings(), {**FOUND, **changes})
    assert found == (None if file is None else str(folder / file))


def test_the_answer_in_words() -> None:
    assert printable_lines({**FOUND, "archived": None}).splitlines() == [
        "3:1500 is counted",
        'event: {"type":"scroll","app_name":"a","timestamp":"2026-11-28T10:00:00Z"}',
        "received: 2026-11-28T10:00:01Z",
        "in Postgres: yes",
        "in the archive: no",
        "counted in events_by_type: scroll, all time",
        "counted in views: /a, 2026-11-28T10:00:00Z",
    ]
    rejected = {"state": "rejected", "code": "missing_type", "event": None, "stored": False}
    told = printable_lines({**FOUND, **rejected, "counted_in": [], "archived": None})
    assert told.splitlines()[0] == "3:1500 is rejected, missing_type"
