"""`event-counter forget`: a user, or old months, taken out of what is stored; figures stay."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from datetime import datetime, timedelta

import click

from app.archive.enrich import enrich_if_outdated
from app.archive.files import Folders
from app.cli.forget_months import MonthParam, forget_before
from app.cli.progress import ProgressLog
from app.cli.rebuild import rebuild_tables, tables_words
from app.cli.running import tell_archive, with_servers
from app.counting.kept_fields import by_users, kept_fields
from app.errors import CounterError
from app.kafka.clients import KafkaClients
from app.kafka.counter_log import decided
from app.kafka.watermarks import Watermarks
from app.reconcile.forget import Forget, Forgotten
from app.settings import Settings

REMAINS = (
    "It is still in Kafka (events, events-rejected) until {until}, and then until its segments are "
    "deleted; in backups that were taken before; in urls, and in what counters count by"
)
STILL_KNOWN = "the tables still know the user: run the same command again"
MESSAGES = (
    "{messages} rows keep their message_id for now, as copies of them may still come: forget again "
    "after {hours} hours"
)


@click.command(name="forget")
@click.option("--user", help="The user_id, as it was sent.")
@click.option("--before", type=MonthParam(), help="Events of earlier UTC months, e.g. 2026-05.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(user: str | None, before: datetime | None, *, yes: bool) -> None:
    """Take a user, or old months, out of what is stored.

    With --user, event and the archive keep the rows of the user, but nothing that identifies the
    user; enriched and the tables are made again. With --before, the rows of old months are dropped
    and their totals stay. No figure changes, and audit says how many rows were forgotten.
    """
    if (user is None) == (before is None):
        raise click.UsageError("give --user or --before")
    settings = with_servers(Settings.from_env(os.environ), "kafka", "postgres", "count_urls")
    tell_archive(Folders.of(settings))
    what = f"the user {user!r}" if before is None else f"all events before {before:%Y-%m}"
    if not yes:
        click.confirm(f"Forget {what} for good?", abort=True)
    if user is not None:
        forget_user(settings, user)
        return
    with ProgressLog() as progress:
        result, *remaining = forget_before(settings, before, progress)
    click.echo(result)
    for text in remaining:
        click.echo(text, err=True)


def forget_user(settings: Settings, user: str) -> None:
    """Do it, and say what was done."""
    folders = Folders.of(settings)
    with ProgressLog() as progress:
        found = asyncio.run(forget(settings, user, progress))
        enrich_if_outdated(folders, settings.duckdb_memory_mb)
        result, warning, error = _rebuilt(settings, progress)
    click.echo(
        f"forgot {found.rows} rows of {found.tables} and {found.archived} of the archive; {result}"
    )
    for text in (*remains(settings, found), warning):
        if text:
            click.echo(text, err=True)
    if error is not None:
        raise error


def _rebuilt(settings: Settings, progress: ProgressLog) -> tuple[str, str, CounterError | None]:
    """Return what was done about the tables, a warning or nothing, and what kept them."""
    try:
        return *tables_words(asyncio.run(rebuild_tables(settings, progress))), None
    except CounterError as exc:  # what is forgotten is said first
        return STILL_KNOWN, "", exc


async def forget(settings: Settings, user: str, progress: ProgressLog) -> Forgotten:
    """Return what was done."""
    registry = await decided(settings)
    kept = kept_fields(known.meaning for known in registry.counting.values())
    async with Watermarks(KafkaClients.of(settings)) as kafka:
        by_user = by_users([*registry.counting.values(), *registry.dropped.values()])
        return await Forget(settings, kafka, kept, by_user, progress.say).user(user)


def remains(settings: Settings, found: Forgotten) -> Iterator[str]:
    """Yield what is not forgotten yet."""
    if found.newest is not None:
        until = found.newest + timedelta(hours=settings.events_retention_hours)
        yield REMAINS.format(until=f"{until:%Y-%m-%dT%H:%M:%SZ}")
    if found.messages:
        yield MESSAGES.format(messages=found.messages, hours=settings.dedupe_hours + 1)
