"""App events as rows of the archive. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from app.counting.duplicates import Seen
from app.errors import RejectedError
from app.events.batches import Named
from app.events.decoding import decode
from app.events.event import EPOCH, Event, message_id_of

MICROSECOND = timedelta(microseconds=1)
DAY_US = 86_400_000_000
NO_ACTION = "null"  # the type under which an event without action is counted


class ArchiveRow(NamedTuple):
    """A row of the archive; event_time: microseconds since 1970, UTC."""

    event_time: int
    user_id: str | None
    app_name: str
    event_action: str | None
    event_category: str | None
    event_value: float | None


def text_size(row: ArchiveRow) -> int:
    """Return the characters in a row."""
    _, user, app, action, category, _ = row
    return len(user or "") + len(app) + len(action or "") + len(category or "")


def app_rows(
    records: Sequence[Any], seen: Seen | None = None, *, by_uuid: bool = False
) -> dict[int, ArchiveRow]:
    """Return the row of each app event by offset; records: aiokafka's, of one partition.

    seen: the message_ids before; what was sent before is left out. by_uuid: whether the uuid of an
    event without a message_id is one.
    """
    rows, ids, offsets, times = {}, [], [], []
    for record in records:
        value = record.value or b""
        # Looking costs 0.1 us, decoding ten times as much. A backslash may hide a name.
        if not _may_matter(value, by_uuid=by_uuid and seen is not None):
            continue
        try:
            event = decode(value, record.timestamp)
        except RejectedError:
            continue  # role count reports it
        if (message_id := message_id_of(event, by_uuid=by_uuid)) is not None:
            ids.append(message_id)
            offsets.append(record.offset)
            times.append(record.timestamp)
        if event.app_name is not None:
            rows[record.offset] = row_of(event, event.app_name)
    return without_duplicates(rows, seen, Named(ids, offsets, times))


def without_duplicates(
    rows: dict[int, ArchiveRow], seen: Seen | None, named: Named
) -> dict[int, ArchiveRow]:
    """Leave out of rows, by offset, what was sent before; named: the message_ids of their batch."""
    if seen is not None and named.ids:
        for offset in seen.judge(named):
            rows.pop(offset, None)
    return rows


def _may_matter(value: bytes, *, by_uuid: bool) -> bool:
    """Whether a record may be an app event, or have a message_id."""
    return by_uuid or b"app_name" in value or b"message" in value or b"\\" in value


def row_of(event: Event, app_name: str) -> ArchiveRow:
    """Return the row of an app event."""
    time = event.timestamp or EPOCH  # decode() sets it
    return ArchiveRow(
        (time - EPOCH) // MICROSECOND,
        event.user_id,
        app_name,
        None if event.type == NO_ACTION else event.type,
        event.category,
        event.value,
    )


def day_of(event_time: int) -> str:
    """Return the UTC date of microseconds since 1970, as 2026-11-23."""
    return f"{datetime.fromtimestamp(event_time // 1_000_000, UTC):%Y-%m-%d}"
