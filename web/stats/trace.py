"""GET /events/{position}: what became of one record of `events`, and where it was counted.

No verdict is made here. Which records are duplicates or of bots is what the store and the views of
Postgres say, and for what Postgres does not have (yet), what the tables of the worker remember that
counted it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from time import time
from typing import Any

import msgspec

from app.counting.counters import Counters
from app.counting.groups import FoldState
from app.counting.spec import CounterSpec
from app.errors import (
    CounterError,
    KafkaUnavailableError,
    NotFoundError,
    PostgresUnavailableError,
    RecoveringError,
    UnavailableError,
)
from app.events.batches import Decoded, Slice, Verdicts, decode_batch
from app.events.event import Event, at_ms
from app.events.positions import parse_one, shown
from app.events.times import rfc3339
from app.kafka.log import KafkaLog
from app.stores.traced import TracedRow, TracedRows
from app.transport.ownership import Ownership
from tables.beginnings import Beginnings
from tables.counted_to import CountedTo
from tables.messages import Messages
from tables.statistics import Statistics
from tables.totals import windows_of
from web.http import paths
from web.query.gather import Undisturbed
from web.query.least import check
from web.query.messages import Answer, Query
from web.query.queries import ElsewhereError, Queries

AT_ONCE = 4  # each connects to Kafka
WAITING, COUNTED, BOT, DUPLICATE, REJECTED = "waiting", "counted", "bot", "duplicate", "rejected"

_decode_object = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(frozen=True)
class Known:
    """Who knows what became of a record. sources: partitions of `events`; rows: None: nobody."""

    topic: str
    sources: Ownership
    counters: Counters
    counted: CountedTo
    statistics: Statistics | None
    messages: Messages | None
    begun: Beginnings | None
    log: KafkaLog
    rows: TracedRows | None


def register(queries: Queries, known: Known, partitions: int) -> None:
    """Add the query of a count worker; partitions: of `events`."""
    tracing = Tracing(known)

    def trace(query: Query) -> Awaitable[Answer]:
        """GET -> {"position", "state", "code", "event", "received_at", "stored", "counted_in"}."""
        partition, offset = parse_one(query.segments[-1])
        if partition >= partitions:
            raise NotFoundError(f"there is no partition {partition}; the topic has {partitions}")
        url = known.sources.url(partition)
        if url is not None:
            if query.hops:
                raise RecoveringError("the partition is moving to another worker")
            raise ElsewhereError(url)
        if not known.sources.owns(partition):  # how far it has come is known once it is read again
            raise RecoveringError("the partition is not read yet")
        check(partition, known.counted.reached)  # of others nothing is said here
        return tracing.answer(partition, offset)

    queries.add(paths.TRACE, trace)


class Tracing:
    """Answers for the partitions of `events` that this worker has."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._at_once = asyncio.Semaphore(AT_ONCE)

    async def answer(self, partition: int, offset: int) -> Answer:
        """Return what became of a record; raise NotFoundError where there is or was none."""
        if self._at_once.locked():
            raise UnavailableError(f"{AT_ONCE} events are being looked up")
        async with self._at_once:
            return await self._answer(partition, offset)

    async def _answer(self, partition: int, offset: int) -> Answer:
        known, undisturbed = self._known, Undisturbed(self._known.sources)
        try:
            record, is_gone = await known.log.at(known.topic, partition, offset)
        except KafkaUnavailableError as exc:
            return await self._of_row(partition, offset, exc)
        if record is None and not is_gone:
            raise NotFoundError(f"there is no event at {partition}:{offset}")
        reached = known.counted.position(partition)
        undisturbed.check()
        if record is None:
            gone = f"the event at {partition}:{offset} is no longer kept anywhere"
            return await self._of_row(partition, offset, NotFoundError(gone))
        by_uuid = known.messages is not None and known.messages.by_uuid
        decoded = decode_batch([record], by_uuid=by_uuid)
        if decoded.fillers:
            raise NotFoundError(f"Kafka lost the event at {partition}:{offset}")
        if decoded.rejected:
            return self._unreadable(record, decoded, is_waiting=offset >= reached)
        (event,) = decoded.valid.events
        row = await self._row_if_there(partition, offset, event)
        if offset >= reached:
            state = WAITING
        elif row is not None:
            state = _state(row)
        else:
            undisturbed.check()  # what a table reads now would be of another owner
            state = await undisturbed.wait(self._judged(partition, decoded))
        if event.received_at is None:
            event.received_at = at_ms(record.timestamp)
        return self._shown(partition, offset, state, event, stored=row is not None)

    async def _of_row(self, partition: int, offset: int, without: CounterError) -> Answer:
        """Return the answer for what only Postgres can know; without: raised where it does not."""
        row = await self._row(partition, offset, None)
        if row is None:
            raise without
        state = _state(row) if offset < self._known.counted.position(partition) else WAITING
        return self._shown(partition, offset, state, row.event, stored=True)

    async def _row(self, partition: int, offset: int, event: Event | None) -> TracedRow | None:
        if self._known.rows is None:
            return None
        at = None if event is None else event.timestamp
        return await self._known.rows.row(partition, offset, at)

    async def _row_if_there(self, partition: int, offset: int, event: Event) -> TracedRow | None:
        """Return the row; None also where Postgres is away: the tables may know as much."""
        try:
            return await self._row(partition, offset, event)
        except PostgresUnavailableError:
            return None

    async def _judged(self, partition: int, decoded: Decoded) -> str:
        """Return what the tables say; raise UnavailableError where they have forgotten it."""
        known = self._known
        again: bool | None = False
        if known.messages is not None:
            again = await known.messages.sent_before(partition, decoded.named)
        of_bots: bool | None = False
        if known.statistics is not None and again is False:
            of_bots = known.statistics.is_bots(partition, decoded.valid)
        if again is None or of_bots is None:
            raise UnavailableError(
                "Postgres does not have the event, and the tables no longer have it"
            )
        return DUPLICATE if again else BOT if of_bots else COUNTED

    def _unreadable(self, record: Any, decoded: Decoded, *, is_waiting: bool) -> Answer:
        """Return the answer for a record that is no event; what was sent, where it is an object."""
        ((_, error),) = decoded.rejected
        try:
            sent = _decode_object(record.value or b"")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            sent = None
        found: dict[str, Any] = {
            "position": shown({record.partition: record.offset}),
            "state": WAITING if is_waiting else REJECTED,
            "code": None if is_waiting else error.code,
            "event": sent,
            "received_at": at_ms(record.timestamp),
            "stored": False,
            "counted_in": [],
        }
        return Answer.json(found)

    def _shown(
        self, partition: int, offset: int, state: str, event: Event, *, stored: bool
    ) -> Answer:
        counted_in = list(self._places(partition, event, offset)) if state == COUNTED else []
        found = {
            "position": shown({partition: offset}),
            "state": state,
            "code": None,
            "event": event,
            "received_at": event.received_at,
            "stored": stored,
            "counted_in": counted_in,
        }
        return Answer.json(found)

    def _places(self, partition: int, event: Event, offset: int) -> Iterator[dict[str, Any]]:
        """Yield where an event is counted, by the counters' order; rows of the past are kept, too.

        Which clicks are a user's third is not remembered, so their counter is not among them.
        """
        counters, begun = self._known.counters, self._known.begun
        at, received = event.timestamp, event.received_at
        if at is None or received is None:
            return
        part = Slice([event], [offset], [at.timestamp()], [received.timestamp()])
        if begun is None:
            rows = counters.fold(Verdicts(part), time())
        else:
            rows = begun.fold(partition, Verdicts(part), offset - 1, time(), FoldState())
            values = begun.distinct_values(partition, Verdicts(part), time(), None)
            rows |= {row: {0: len(some)} for row, some in values.items()}
        rows = counters.spread(rows, time())
        for name, spec in counters.items():
            stored = counters.stored(name)
            for row, cells in rows.items():
                if row[0] == stored.number:
                    yield from _windows(name, spec, stored, row, cells)


def _windows(
    name: str, spec: CounterSpec, stored: CounterSpec, row: bytes, cells: dict[int, int]
) -> Iterator[dict[str, Any]]:
    key, start, label = stored.keys.parse(row)
    for begin in windows_of(stored, start, cells):
        yield {
            "counter": name,
            "key": key,
            "label": label,
            "start": None if spec.window is None else rfc3339(begin),
        }


def _state(row: TracedRow) -> str:
    return DUPLICATE if row.duplicate else COUNTED if row.human else BOT
