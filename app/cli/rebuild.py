"""`event-counter rebuild`: event_summary or Redis anew from event, while events flow."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import datetime

import click

from app.cli.moments import Moment, check_range
from app.cli.running import with_addresses
from app.cli.telling import Telling
from app.rebuild import Mended, Rebuild
from app.settings import Settings
from app.watermarks import Watermarks

KEPT = (
    "Whole months of event were dropped: counts above what it holds were left as they are. "
    "See docs/decisions/rebuild.md"
)


@click.command(name="rebuild")
@click.argument("what", type=click.Choice(["redis", "summary"]))
@click.option("--from", "begin", type=Moment(), help="First hour of event time; RFC 3339.")
@click.option("--to", "end", type=Moment(), help="Event time up to which hours are rebuilt.")
def command(what: str, begin: datetime | None, end: datetime | None) -> None:
    """Count event again, and set right what redis or summary (event_summary) say.

    The result is what they show when nothing was ever lost. --from and --to are for summary:
    Redis holds counts of all time, which an hour cannot be taken out of.
    """
    if what == "redis" and (begin or end):
        raise click.UsageError("redis holds counts of all time: give no --from or --to")
    check_range(begin, end)
    settings = with_addresses(Settings.from_env(os.environ))
    started = time.monotonic()
    with Telling() as telling:
        done = asyncio.run(rebuild(settings, what, begin, end, telling))
    name = "Redis" if what == "redis" else "event_summary"
    click.echo(
        f"{name} is rebuilt: {done.raised} counts raised, {done.lowered} lowered or removed, of "
        f"{done.counted} hourly counts, in {time.monotonic() - started:.1f} s"
    )
    if done.kept:
        click.echo(KEPT, err=True)


async def rebuild(
    settings: Settings, what: str, begin: datetime | None, end: datetime | None, telling: Telling
) -> Mended:
    """Return what was done."""
    async with Watermarks(settings.kafka) as kafka:
        work = Rebuild(settings, kafka, telling.say)
        return await (work.redis() if what == "redis" else work.summary(begin, end))
