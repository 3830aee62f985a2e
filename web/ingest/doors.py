"""What the doors for other clients share: their events become ours, each judged for itself."""

from __future__ import annotations

from aiohttp.web import Request

from app.errors import RejectedError
from app.events.packing import Record
from app.ingest.collector import Collector
from web.ingest.collect import idempotency_key, now_ms, record_of, send_all
from web.ingest.dialects import ToFields
from web.ingest.senders import Sender

Fault = tuple[int, RejectedError]  # which item of the request


async def take(
    items: list[bytes], to_fields: ToFields, collector: Collector, sender: Sender | None
) -> list[Fault]:
    """Send the good items; return the faults of the others once Kafka has them.

    sender: completes the events.
    """
    faults: list[Fault] = []

    def judge(piece: list[bytes], first: int) -> list[Record]:
        received_ms = now_ms()
        records = []
        for index, item in enumerate(piece, first):
            try:
                records.append(record_of(item, received_ms, sender, to_fields))
            except RejectedError as exc:
                faults.append((index, exc))
        return records

    await send_all(items, collector, judge)
    return faults


async def take_one(
    request: Request, item: bytes, to_fields: ToFields, collector: Collector, sender: Sender | None
) -> None:
    """Send an event; raise the RejectedError it deserves. sender: completes the event."""
    key = idempotency_key(request)
    await collector.send_record(record_of(item, now_ms(), sender, to_fields, message_id=key))
