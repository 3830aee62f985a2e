"""`event-counter forget`: a user taken out of everything that is stored; figures stay."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from datetime import timedelta

import click

from app.archive.enrich import enrich
from app.archive.files import Folders
from app.cli.progress import ProgressLog
from app.cli.rebuild import rebuild_tables, tables_words
from app.cli.running import tell_archive, with_servers
from app.counting.kept_fields import kept_fields
from app.kafka.clients import KafkaClients
from app.kafka.counter_log import decided
from app.kafka.watermarks import Watermarks
from app.reconcile.forget import Forget, Forgotten
from app.settings import Settings

OTHER_S = 3600.0  # for another enrich
REMAINS = (
    "It is still in Kafka (events, events-rejected) until {until}, and then until its segments are "
    "deleted; in backups that were taken before; in urls, and in what counters count by"
)
MESSAGES = (
    "{messages} rows keep their message_id for now, as copies of them may still come: forget again "
    "after {hours} hours"
)


@click.command(name="forget")
@click.option("--user", required=True, help="The user_id, as it was sent.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(user: str, *, yes: bool) -> None:
    """Take a user out of all that is stored.

    event and the archive keep the rows, without what says whose they are; enriched and the tables
    are made anew. All figures stay the same, and audit says how many rows were forgotten.
    """
    settings = with_servers(Settings.from_env(os.environ), "kafka", "postgres", "count_urls")
    folders = Folders.of(settings)
    tell_archive(folders)
    if not yes:
        click.confirm(f"Forget the user {user!r} for good?", abort=True)
    with ProgressLog() as progress:
        found = asyncio.run(forget(settings, user, progress))
        if found.archived and folders.enriched.is_dir():
            enrich(folders, None, settings.duckdb_memory_mb, wait_s=OTHER_S)
        result, warning = tables_words(asyncio.run(rebuild_tables(settings, progress)))
    click.echo(f"forgot {found.rows} rows of event and {found.archived} of the archive; {result}")
    for text in (*remains(settings, found), warning):
        if text:
            click.echo(text, err=True)


async def forget(settings: Settings, user: str, progress: ProgressLog) -> Forgotten:
    """Return what was done."""
    registry = await decided(settings)
    kept = kept_fields(known.meaning for known in registry.counting.values())
    async with Watermarks(KafkaClients.of(settings)) as kafka:
        return await Forget(settings, kafka, kept, progress.say).user(user)


def remains(settings: Settings, found: Forgotten) -> Iterator[str]:
    """Yield what is not forgotten yet."""
    if found.newest is not None:
        until = found.newest + timedelta(hours=settings.events_retention_hours)
        yield REMAINS.format(until=f"{until:%Y-%m-%dT%H:%M:%SZ}")
    if found.messages:
        yield MESSAGES.format(messages=found.messages, hours=settings.dedupe_hours + 1)
