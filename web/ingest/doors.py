"""What the doors for other clients share: their events become ours, each judged for itself."""

from __future__ import annotations

import asyncio

from aiohttp.web import Request

from app.errors import RejectedError
from app.events.packing import Record
from app.ingest.collector import Collector
from web.ingest.bodies import pieces
from web.ingest.collect import SENT_AT_ONCE, idempotency_key, now_ms, record_of
from web.ingest.dialects import ToFields
from web.ingest.senders import Sender

Fault = tuple[int, RejectedError]  # which item of the request


async def take(
    items: list[bytes], to_fields: ToFields, collector: Collector, sender: Sender | None
) -> list[Fault]:
    """Send the good items; return the faults of the others once Kafka has them.

    sender: completes the events.
    """
    records: list[Record] = []
    faults: list[Fault] = []
    judged, was_sent = 0, False
    for piece in pieces(items):
        received_ms = now_ms()
        for index, item in enumerate(piece, judged):
            try:
                records.append(record_of(item, received_ms, sender, to_fields))
            except RejectedError as exc:
                faults.append((index, exc))
        judged += len(piece)
        if len(records) >= SENT_AT_ONCE:
            await collector.send_records(records, admitted=was_sent)
            records, was_sent = [], True
        else:
            await asyncio.sleep(0)
    if records or not was_sent:
        await collector.send_records(records, admitted=was_sent)
    return faults


async def take_one(
    request: Request, item: bytes, to_fields: ToFields, collector: Collector, sender: Sender | None
) -> None:
    """Send an event; raise the RejectedError it deserves. sender: completes the event."""
    key = idempotency_key(request)
    await collector.send_record(record_of(item, now_ms(), sender, to_fields, message_id=key))
