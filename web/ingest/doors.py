"""What the doors for other clients share: their events become ours, each judged for itself."""

from __future__ import annotations

from aiohttp.web import Request

from app.errors import RejectedError
from app.events.packing import PackedRecord
from app.events.positions import EventPositions
from app.ingest.collector import Collector
from web.ingest.collect import idempotency_key, now_ms, record_of, send_all
from web.ingest.dialects import Dialect
from web.ingest.senders import Sender

Fault = tuple[int, RejectedError]  # which item of the request


async def take(
    items: list[bytes], dialect: Dialect, collector: Collector, sender: Sender | None
) -> tuple[list[Fault], EventPositions]:
    """Send the good items; return the faults of the others, and where they are in Kafka by then.

    sender: completes the events.
    """
    faults: list[Fault] = []

    def judge(piece: list[bytes], first: int) -> list[PackedRecord]:
        received_ms = now_ms()
        records = []
        for index, item in enumerate(piece, first):
            try:
                records.append(record_of(item, received_ms, sender, dialect))
            except RejectedError as exc:
                faults.append((index, exc))
        return records

    stored = await send_all(items, collector, judge)
    return faults, stored


async def take_one(
    request: Request, item: bytes, dialect: Dialect, collector: Collector, sender: Sender | None
) -> EventPositions:
    """Send an event, return where it is in Kafka; raise the RejectedError it deserves.

    sender: completes the event.
    """
    key = idempotency_key(request)
    return await collector.send_record(record_of(item, now_ms(), sender, dialect, message_id=key))
