"""`event-counter rebuild`: event_summary, Redis or tables anew from event, while events flow."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import datetime

import click
from asyncpg import Connection

from app.cli.moments import Moment, check_range
from app.cli.progress import ProgressLog
from app.cli.running import with_servers
from app.kafka.clients import KafkaClients
from app.kafka.table_topics import TableTopics
from app.kafka.tables_version import current_version
from app.kafka.watermarks import Watermarks
from app.reconcile.rebuild import Rebuild, Repaired
from app.reconcile.rebuild_tables import Rebuilt, TablesRebuild
from app.settings import Settings
from app.wiring.own_counters import agree, declared_counter
from tables.base_records import BaseRecords
from tables.counters import declare
from web.query.table_rows import table_rows

KEPT = (
    "event lacks {missing} of the rows that were stored, as where a month was detached: counts "
    "above what it holds were left as they are. Attach the month, and run this again. "
    "See docs/internals/decisions/rebuild.md"
)
STAYING = (
    "{staying} count workers have not ended: start them again. The old topics go with the next "
    "rebuild"
)
SIDES = {  # what each works with
    "counter": ("kafka", "postgres", "count_urls"),
    "redis": ("kafka", "postgres", "redis"),
    "summary": ("kafka", "postgres"),
    "tables": ("kafka", "postgres", "count_urls"),
}
ALL_OF_IT = {
    "counter": "a counter is always recomputed as a whole: give no --from or --to",
    "redis": "redis holds counts of all time: give no --from or --to",
    "tables": "tables are always recomputed as a whole: give no --from or --to",
}


@click.command(name="rebuild")
@click.argument("what", type=click.Choice(["counter", "redis", "summary", "tables"]))
@click.argument("name", required=False)
@click.option("--from", "begin", type=Moment(), help="First hour of event time; RFC 3339.")
@click.option("--to", "end", type=Moment(), help="Event time up to which hours are rebuilt.")
def command(what: str, name: str | None, begin: datetime | None, end: datetime | None) -> None:
    """Recompute redis, summary, tables or a counter from event.

    redis and summary (event_summary) are corrected in place, up and down. tables are counted into
    new ones while the old ones answer; at the end the count workers switch to them, and are back
    within seconds. counter NAME does the same, and NAME, a counter of your counters.toml, then also
    counts the events from before it was declared. --from and --to are for summary only: Redis and
    the tables hold counts of all time.
    """
    if what in ALL_OF_IT and (begin or end):
        raise click.UsageError(ALL_OF_IT[what])
    if (what == "counter") != (name is not None):
        raise click.UsageError(f"{what} takes no name" if name else "give the NAME of the counter")
    check_range(begin, end)
    settings = with_servers(Settings.from_env(os.environ), *SIDES[what])
    started = time.monotonic()
    with ProgressLog() as progress:
        if what in ("counter", "tables"):
            words = tables_words(asyncio.run(rebuild_tables(settings, progress, name)), name)
        else:
            words = repaired_words(what, asyncio.run(rebuild(settings, what, begin, end, progress)))
    result, warning = words
    click.echo(f"{result}, in {time.monotonic() - started:.1f} s")
    if warning:
        click.echo(warning, err=True)


async def rebuild(
    settings: Settings,
    what: str,
    begin: datetime | None,
    end: datetime | None,
    progress: ProgressLog,
) -> Repaired:
    """Return what was done."""
    async with Watermarks(KafkaClients.of(settings)) as kafka:
        work = Rebuild(settings, kafka, progress.say)
        return await (work.redis() if what == "redis" else work.summary(begin, end))


async def rebuild_tables(
    settings: Settings, progress: ProgressLog, name: str | None = None, *, alone: bool = False
) -> Rebuilt:
    """Return what was done.

    name: of a counter that gets its past. alone: no count worker can run, so nobody is asked.
    """
    registry = await agree(settings, await current_version(settings))
    past_of = declared_counter(registry, name).number if name else None
    counters = declare(settings, registry.specs())
    declared = {name: spec.retention for name, spec in counters.items()}

    async def begin(connection: Connection, version: int) -> int:
        return await BaseRecords(settings, version, counters).write(connection)

    async with (
        Watermarks(KafkaClients.of(settings)) as kafka,
        TableTopics(KafkaClients.of(settings), settings.namespace) as topics,
        table_rows(settings, settings.counts_partitions) as rows,
    ):
        work = TablesRebuild(settings, kafka, topics, progress.say)
        return await work.run(None if alone else rows, declared, past_of, begin)


def repaired_words(what: str, done: Repaired) -> tuple[str, str]:
    """Return the result, and a warning or nothing."""
    name = "Redis" if what == "redis" else "event_summary"
    result = (
        f"{name} is rebuilt: {done.raised} counts raised, {done.lowered} lowered or removed, of "
        f"{done.counted} hourly counts"
    )
    return result, KEPT.format(missing=done.missing) if done.missing > 0 else ""


def tables_words(done: Rebuilt, name: str | None = None) -> tuple[str, str]:
    """Return the result, and a warning or nothing; name: of a counter that got its past."""
    what = f"{name} has its past, the" if name else "the"
    result = (
        f"{what} tables are rebuilt: {done.events} records counted anew, version {done.version}"
    )
    return result, STAYING.format(staying=done.staying) if done.staying else ""
