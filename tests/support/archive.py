"""Archives made and read in tests, without the code under test where it is read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from app.archive.rows import ArchiveRow

MINUTE_US = 60_000_000
NOON_US = 1_790_078_400_000_000  # 2026-09-22T12:00:00Z
DAY_US = 86_400_000_000


def row(user: str | None = "1", action: str | None = "scroll", **changes: Any) -> ArchiveRow:
    """Return a row of product_1 at noon."""
    given = ArchiveRow(NOON_US, user, "product_1", action, "category_2", 12.0)
    return given._replace(**changes)


def numbered(offsets: Iterable[int], *days: int) -> dict[int, ArchiveRow]:
    """Return a row per offset, its offset as its user; days: before noon's, in turns."""
    days = days or (0,)
    return {n: row(user=str(n), event_time=NOON_US - days[n % len(days)] * DAY_US) for n in offsets}


def files(base: Path) -> list[Path]:
    """Return the files of an archive that a reader sees."""
    return sorted((base / "archive").glob("date=*/*.parquet"))


def read(base: Path) -> list[dict[str, Any]]:
    """Return all rows of an archive, as at one moment: again where files were merged meanwhile."""
    while True:
        try:
            tables = [pq.ParquetFile(file).read() for file in files(base)]
        except FileNotFoundError:
            continue
        return [found for table in tables for found in table.to_pylist()]


def users(base: Path) -> list[int]:
    """Return the users of all rows, sorted: numbered() rows are there once if it is a range."""
    return sorted(int(found["user_id"]) for found in read(base))


def app_events(numbers: Iterable[int], **fields: object) -> list[bytes]:
    """Return the JSON of an app event per number, with the number as its user."""
    return [
        json.dumps(
            {
                "user_id": n,
                "app_name": "product_1",
                "event_action": "scroll",
                "event_category": "category_2",
                "event_value": 12,
                **fields,
            }
        ).encode()
        for n in numbers
    ]
