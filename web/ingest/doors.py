"""What the doors for other clients share: their events become ours, each judged for itself."""

from __future__ import annotations

from typing import Any

from aiohttp.web import Request

from app.errors import RejectedError
from app.events.packing import PackedRecord
from app.events.positions import EventPositions
from app.ingest.collector import Collector
from web.ingest.collect import idempotency_key, now_ms, record_of, send_all
from web.ingest.dialects import Dialect
from web.ingest.senders import Sender

FAULTS_SHOWN = 100


class Faults:
    """What is wrong with items of a request: how many are, and {"index", "code", "message"}.

    shown: of the first FAULTS_SHOWN. The errors themselves would keep their frames: 200 MB of a
    body of 200 KB.
    """

    def __init__(self) -> None:
        self.number = 0
        self.shown: list[dict[str, Any]] = []

    def add(self, index: int, error: RejectedError) -> None:
        """Note the error of an item."""
        self.number += 1
        if len(self.shown) < FAULTS_SHOWN:
            self.shown.append({"index": index, **error.as_dict()})


async def take(
    items: list[bytes], dialect: Dialect, collector: Collector, sender: Sender | None
) -> tuple[Faults, EventPositions]:
    """Send the good items; return the faults of the others, and where they are in Kafka by then.

    sender: completes the events, see _completing().
    """
    faults, sender = Faults(), _completing(sender)

    def judge(piece: list[bytes], first: int) -> list[PackedRecord]:
        received_ms = now_ms()
        records = []
        for index, item in enumerate(piece, first):
            try:
                records.append(record_of(item, received_ms, sender, dialect))
            except RejectedError as exc:
                faults.add(index, exc)
        return records

    stored = await send_all(items, collector, judge)
    return faults, stored


async def take_one(
    request: Request, item: bytes, dialect: Dialect, collector: Collector, sender: Sender | None
) -> EventPositions:
    """Send an event, return where it is in Kafka; raise the RejectedError it deserves.

    sender: completes the event, see _completing().
    """
    key, sender = idempotency_key(request), _completing(sender)
    return await collector.send_record(record_of(item, now_ms(), sender, dialect, message_id=key))


def _completing(sender: Sender | None) -> Sender | None:
    """Return what completes events of these clients: they name the referrer, or there is none.

    Their word for none is an empty text or null, which the dialects leave out; the header names the
    page itself.
    """
    return None if sender is None else sender._replace(referrer=None)
