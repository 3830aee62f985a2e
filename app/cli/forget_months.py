"""`event-counter forget --before MONTH`: old rows go, what they added up to stays."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from app.archive.enrich import enrich_if_outdated
from app.archive.files import Folders
from app.archive.forget import forget_dates
from app.cli.progress import ProgressLog
from app.counting.counters import Counters
from app.counting.registry import Registry
from app.errors import StartError
from app.kafka.clients import KafkaClients
from app.kafka.counter_log import decided
from app.kafka.watermarks import Watermarks
from app.names import Names
from app.reconcile.base_fold import kept_for_good
from app.reconcile.detached import how_to_attach
from app.reconcile.forget_months import ForgetMonths, MonthsForgotten, month_of, youngest
from app.settings import Settings
from tables.counters import declare

ALL = {"statistics": True, "hourly_retention_days": 0}  # with which all that is kept is counted
MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")
REMAINS = (
    "They are still in Kafka (events) until {until}, and then until its segments are deleted; in "
    "backups that were taken before"
)
DETACHED = (
    "{names}: detached from event, and not touched. To forget these, too, attach them and run the "
    "same command again. {attach}"
)
TOO_YOUNG = (
    "{before} is too young: some counters keep their windows longer than that. The last month that "
    "can be given now is {youngest}"
)


class MonthParam(click.ParamType):
    """A UTC month: its begin."""

    name = "MONTH"

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime:
        """Return the moment."""
        if isinstance(value, datetime):
            return value
        match = MONTH.fullmatch(value)
        if not match or match[1] == "0000":
            self.fail(f"{value!r} is no month; write for example 2026-05", param, ctx)
        return datetime(int(match[1]), int(match[2]), 1, tzinfo=UTC)


def forget_before(settings: Settings, before: datetime | None, progress: ProgressLog) -> list[str]:
    """Forget months, in event and in the archive; return what was done, then what remains.

    before: None: as EVENT_COUNTER_RAW_RETENTION_DAYS says, as far as counters let it.
    """
    found = asyncio.run(_forget_both(settings, before, progress))
    enrich_if_outdated(Folders.of(settings), settings.duckdb_memory_mb)
    done = (
        f"forgot {found.rows} rows of event before {found.before:%Y-%m}, and {found.files} files "
        "of the archive; figures stay"
    )
    if before is None and not found.rows:
        return [done]  # each day: what is detached was named with the last month that went
    return [done, *_remains(settings, found)]


def forget_files(settings: Settings, before: datetime | None, progress: ProgressLog) -> int:
    """Forget months in the archive alone; return how many files they were."""
    files = asyncio.run(_forget_files(settings, before, progress))
    enrich_if_outdated(Folders.of(settings), settings.duckdb_memory_mb)
    return files


async def _forget_both(
    settings: Settings, before: datetime | None, progress: ProgressLog
) -> MonthsForgotten:
    before = _checked(settings, before, await decided(settings))
    every = settings.model_copy(update=ALL)

    async def now_decided() -> Registry:
        return await decided(settings)

    def kept(registry: Registry) -> Counters:
        _checked(settings, before, registry)
        return kept_for_good(declare(every, registry.specs()).values())

    async def delete_files() -> int:
        return await _forget_files(settings, before, progress)

    async with Watermarks(KafkaClients.of(settings)) as kafka:
        work = ForgetMonths(settings, kafka, now_decided, kept, progress.say)
        return await work.run(before, delete_files)


async def _forget_files(settings: Settings, before: datetime | None, progress: ProgressLog) -> int:
    before = _checked(settings, before, await decided(settings))
    names = Names(settings.namespace)
    async with Watermarks(KafkaClients.of(settings)) as kafka:
        cluster = await kafka.cluster()
        archived = await kafka.committed(names.archive_group, names.events)
    progress.say("deleting files of the archive")
    folders = Folders.of(settings)
    return await asyncio.to_thread(forget_dates, folders, before.date(), archived, cluster)


def _checked(settings: Settings, before: datetime | None, registry: Registry) -> datetime:
    """Return the month up to which all goes; raise StartError where it is too young."""
    now = datetime.now(UTC)
    last = youngest(declare(settings, registry.specs()), now)
    if before is None:
        return min(last, month_of(now - timedelta(days=settings.raw_retention_days)))
    if before > last:
        words = {"before": f"{before:%Y-%m}", "youngest": f"{last:%Y-%m}"}
        raise StartError(TOO_YOUNG.format(**words))
    return before


def _remains(settings: Settings, found: MonthsForgotten) -> Iterator[str]:
    if found.newest is not None:
        until = found.newest + timedelta(hours=settings.events_retention_hours)
        yield REMAINS.format(until=f"{until:%Y-%m-%dT%H:%M:%SZ}")
    if months := found.detached:
        names = ", ".join(month.name for month in months)
        yield DETACHED.format(names=names, attach=how_to_attach(months))
