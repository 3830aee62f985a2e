"""Records of the topic events as rows of the table event, built tightly: 1.2 us a record."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec

from app.errors import RejectedError
from app.events.batches import Named
from app.events.decoding import decode
from app.events.event import Event, message_id_of

# In the order of the tuples of rows_of().
COLUMNS = (
    *("uuid", "type", "ip", "url", "datetime", "received_at", "user_id", "session_id", "ad_id"),
    *("app_name", "product_id", "category", "value", "properties"),
    *("message_id", "referrer", "user_agent", "kafka_time", "duplicate"),
    *("kafka_partition", "kafka_offset"),
)
POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
POSTGRES_EPOCH_US = 946_684_800_000_000  # us from 1970
MICROSECOND = timedelta(microseconds=1)
DAY_US = 86_400_000_000
ROWS_AT_ONCE = 2000  # decoded and judged together, while Postgres takes in those before
NOTHING: Container[int] = ()

Judge = Callable[[Named], Container[int]]

_json = msgspec.json.Encoder().encode


async def send_times_as_integers(connection: asyncpg.Connection) -> None:
    """Let asyncpg take microseconds since 2000 for a timestamptz, as Postgres stores it.

    Its way from a datetime costs 0.5 us, a third of a row with two; the integer costs 0.2.
    """
    await connection.set_builtin_type_codec(
        "timestamptz", schema="pg_catalog", codec_name="int8", format="binary"
    )


def rows_of(
    records: Sequence[Any], judge: Judge | None = None, *, by_uuid: bool = False
) -> Iterator[tuple[Any, ...]]:
    """Yield a row of COLUMNS per valid record; times in microseconds since 2000.

    judge: returns the offsets of the duplicates among records with a message_id; None: nothing is
    one. by_uuid: whether the uuid of an event without a message_id is one. Role count reports the
    rejected records.
    """
    for begin in range(0, len(records), ROWS_AT_ONCE):
        valid: list[tuple[Any, Event, str | None]] = []
        ids: list[str] = []
        offsets: list[int] = []
        times: list[int] = []
        for record in records[begin : begin + ROWS_AT_ONCE]:
            try:
                event = decode(record.value or b"", record.timestamp)
            except RejectedError:
                continue
            message_id = message_id_of(event, by_uuid=by_uuid)
            valid.append((record, event, message_id))
            if message_id is not None:
                ids.append(message_id)
                offsets.append(record.offset)
                times.append(record.timestamp)
        again = judge(Named(ids, offsets, times)) if judge and ids else NOTHING
        for record, event, message_id in valid:
            yield _row(record, event, message_id, again)


def _row(
    record: Any, event: Event, message_id: str | None, again: Container[int]
) -> tuple[Any, ...]:
    uuid, received, properties = event.uuid, event.received_at, event.properties
    recorded_us = record.timestamp * 1000 - POSTGRES_EPOCH_US
    received_us = recorded_us if received is None else (received - POSTGRES_EPOCH) // MICROSECOND
    return (
        f"{record.topic}-{record.partition}-{record.offset}" if uuid is None else uuid,
        event.type,
        event.ip,
        event.url,
        (event.timestamp - POSTGRES_EPOCH) // MICROSECOND,  # type: ignore[operator]
        received_us,
        event.user_id,
        event.session_id,
        event.ad_id,
        event.app_name,
        event.product_id,
        event.category,
        event.value,
        None if properties is None else _json(properties).decode(),
        message_id,
        event.referrer,
        event.user_agent,
        None if message_id is None or recorded_us == received_us else recorded_us,
        True if again and record.offset in again else None,
        record.partition,
        record.offset,
    )


def times_of(records: Sequence[Any]) -> list[int]:
    """Return the different days of event time in a batch, in microseconds since 2000."""
    row_time = COLUMNS.index("datetime")
    return [day * DAY_US for day in {row[row_time] // DAY_US for row in rows_of(records)}]
