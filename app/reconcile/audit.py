"""Whether tables, event, event_summary and Redis say the same; right while events flow.

1. The end of `events` is noted. Every side is waited for until it has seen all below: what `event`
   has below that offset is the least that a side may say.
2. Tables, Redis and event_summary are copied. The end of `events` is noted again, and waited for
   until Postgres has stored all below: what `event` has then is the most that a side may say.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import aclosing
from datetime import datetime, timedelta
from time import time
from typing import Annotated, Any, Protocol

import msgspec
from msgspec import Meta

from app.counting.spec import FOREVER, HOUR
from app.errors import StartError
from app.events.event import EPOCH, at_ms
from app.events.filler import is_filler
from app.kafka.clients import KafkaClients
from app.kafka.log import KafkaLog
from app.kafka.strange import leave_out
from app.kafka.tables_version import FIRST, positions_of
from app.kafka.watermarks import Offsets, Say, Watermarks, wait_for
from app.names import Names
from app.reconcile.comparison import ALWAYS, Comparison, whole_hours
from app.reconcile.counted import WORKERS_S, by_group, wait_for_counting
from app.reconcile.differences import Differences, OffsetRanges, Report
from app.reconcile.live_scan import LiveScan
from app.reconcile.own_counters import (
    Decided,
    OwnCounters,
    OwnTables,
    decided_after_snapshot,
)
from app.settings import Settings

REFRESH_S = 400.0  # for event_summary and Redis: the longest interval, and what follows
HOURLY, ALL_TIME = "events_by_url_hourly", "events_by_url"
TYPES = {
    "events_by_type": "counted",
    "bot_views_by_type": "bots",
    "duplicates_by_type": "duplicates",
}
HOUR_MS = 3_600_000


class Tables(OwnTables, Protocol):
    """The tables of the count workers."""

    async def retentions(self) -> dict[str, int | None]:
        """Return {declared counter: seconds that it is kept, None for good}."""
        ...


class _Place(msgspec.Struct):
    """The record that a rejection is about."""

    partition: Annotated[int, Meta(ge=0, le=(1 << 31) - 1)]
    offset: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]


_decode_place = msgspec.json.Decoder(_Place).decode


class Audit:
    """One comparison of everything in a range of hours."""

    def __init__(
        self,
        settings: Settings,
        tables: Tables,
        kafka: Watermarks,
        say: Say,
        decided: Decided,
        version: int = FIRST,
    ) -> None:
        """decided: gives what counters are declared by now. version: of the tables."""
        self._settings, self._tables, self._kafka, self._say = settings, tables, kafka, say
        self._decided = decided
        self._names, self._version = Names(settings.namespace, version), version
        self._dsn = settings.postgres.get_secret_value()
        self._redis = settings.redis.get_secret_value()

    async def run(
        self, begin: datetime | None, end: datetime | None, report: Report
    ) -> dict[str, Any]:
        """Report each difference; return what was compared, and up to where.

        begin, end: of event time; with one of them, only hours are compared. Raises StartError or
        UnavailableError where something is away or does not come along.
        """
        whole = begin is None and end is None
        first, last = whole_hours(begin, end)
        async with Comparison.open(self._dsn, self._names.events) as sides:
            cut, began = await self._kafka.ends(self._names.events), time()
            await self._wait_for_all(sides, cut, live=whole)
            kept, own = await self._copy(sides, first, last, whole=whole)
            await self._wait_for_store(sides, await self._kafka.ends(self._names.events))
            self._say("counting event")
            found = Differences(sides, report)
            async with sides.connection.transaction(isolation="repeatable_read"):
                types = (await decided_after_snapshot(sides, self._decided)).types_kept()
                await sides.count(first, last, cut, types)
                sizes = await sides.connection.fetchrow(sides.sql["compare.sizes"])
                gone = await sides.gone()
                await found.hours(kept.hours_from)
                if whole:
                    await found.all_time(redis=bool(self._redis), own_rows=kept.all_time)
                    await found.types(cut, types)
                    await found.own(own, cut)
                    await self._received(found, cut)
        return {
            "from": f"{first:%Y-%m-%dT%H:%M:%SZ}" if begin else None,
            "to": f"{last:%Y-%m-%dT%H:%M:%SZ}" if end else None,
            "compared_to": f"{at_ms(int(began * 1000)):%Y-%m-%dT%H:%M:%SZ}",
            "offsets": {f"{self._names.events}-{p}": offset for p, offset in sorted(cut.items())},
            **{name: sizes[name] for name in ("urls", "hours", "events")},
            **gone,
            "missing": found.missing,
            "whole": whole,
            "differing": found.count,
        }

    async def _wait_for_all(self, sides: Comparison, cut: Offsets, *, live: bool) -> None:
        kafka, names = self._kafka, self._names

        async def summed() -> Offsets:
            return positions_of(self._version, await sides.summary_positions())

        merged = await wait_for_counting(kafka, names, cut, by_group(kafka, names, self._say))
        await self._wait_for_store(sides, cut)
        await wait_for("event_summary", summed, merged, REFRESH_S, self._say)
        if live and self._redis:
            async with aclosing(LiveScan(self._redis)) as scan:

                async def live_to() -> Offsets:
                    return positions_of(self._version, await scan.positions())

                await wait_for("Redis", live_to, merged, REFRESH_S, self._say)

    async def _wait_for_store(self, sides: Comparison, end: Offsets) -> None:
        await wait_for("the store workers", sides.stored_to, end, WORKERS_S, self._say)

    async def _copy(
        self, sides: Comparison, first: datetime, last: datetime, *, whole: bool
    ) -> tuple[Kept, OwnCounters]:
        """Copy all sides but event."""
        kept = Kept(await self._tables.retentions(), first)
        copied = 0
        ends = FOREVER if last is ALWAYS else int(last.timestamp())
        async for chunk in self._tables.read(HOURLY, int(kept.hours_from.timestamp()), ends):
            rows = [(url, at_ms(start * 1000), kind, n) for url, start, kind, n in chunk]
            await sides.copy("side_tables", rows)
            copied += len(rows)
            self._say(f"reading the tables: {copied} hours")
        own = OwnCounters(sides, self._decided, self._version, self._say)
        if whole:
            await self._copy_all_time(sides, kept)
            await own.copy(self._tables)
        await sides.copy_summary(first, last)
        await sides.analyze()
        return kept, own

    async def _copy_all_time(self, sides: Comparison, kept: Kept) -> None:
        if kept.all_time:
            async for chunk in self._tables.read(ALL_TIME):
                await sides.copy("side_all_time", [(url, kind, n) for url, _, kind, n in chunk])
        for counter, what in TYPES.items():
            if counter in kept.retentions:
                async for chunk in self._tables.read(counter):
                    await sides.copy("side_types", [(kind, what, n) for _, _, kind, n in chunk])
        if self._redis:
            async with aclosing(LiveScan(self._redis)) as scan:
                async for rows in scan.read():
                    await sides.copy("side_redis", rows)
        self._say("reading events-rejected")
        log, topic = KafkaLog(KafkaClients.of(self._settings)), self._names.rejected
        begins, ends = await self._kafka.begins(topic), await self._kafka.ends(topic)
        for partition, end in ends.items():
            async for batch, _ in log.read(topic, partition, begins[partition], end):
                await sides.copy("side_rejected", places_in(batch))

    async def _received(self, found: Differences, cut: Offsets) -> None:
        """Compare what Kafka has with what was stored and rejected of it."""
        topic = self._names.events
        begins = await self._kafka.begins(topic)
        if any(begins.values()):  # rejections are deleted at another moment than their events
            recent_ms = int(time() * 1000) - self._settings.events_retention_hours * HOUR_MS // 2
            begins = await self._kafka.since(topic, recent_ms)
        log = KafkaLog(KafkaClients.of(self._settings))

        async def records(partition: int) -> int:
            """Offsets may be transaction markers: they are counted where it matters.

            What Kafka lost after somebody had it counts, too: there are fillers in its place.
            """
            count, fillers = 0, OffsetRanges()
            async for batch, _ in log.read(topic, partition, begins[partition], cut[partition]):
                lost = [record.offset for record in batch if is_filler(record.value)]
                count += len(batch) - len(lost)
                fillers.add(lost)
            args = partition, fillers.begins, fillers.ends
            return count + int(await found.kept(*args) if fillers.begins else 0)

        await found.stored(topic, begins, cut, records)


def places_in(batch: Iterable[Any]) -> list[tuple[int, int]]:
    """Return (partition, offset) of what records of events-rejected are about."""
    found: list[tuple[int, int]] = []
    strange: list[tuple[Any, BaseException]] = []
    for record in batch:
        try:
            place = _decode_place(record.value or b"")
        except msgspec.MsgspecError as exc:
            strange.append((record, exc))
        else:
            found.append((place.partition, place.offset))
    leave_out(strange)
    return found


class Kept:
    """What the tables keep."""

    def __init__(self, retentions: dict[str, int | None], first: datetime) -> None:
        """first: hour that the comparison begins at."""
        if HOURLY not in retentions:
            raise StartError(f"The count workers have no counter {HOURLY}")
        self.retentions = retentions
        retention = retentions[HOURLY]
        self.all_time = retention is not None  # else it is the sum of the hours
        self.hours_from = first
        if retention is not None:
            # An hour that is about to expire may be gone when the tables are read.
            oldest = int(time()) - retention + 2 * HOUR
            self.hours_from = max(first, EPOCH + timedelta(seconds=oldest - oldest % HOUR))
