"""`event-counter replay`: rejected records anew, judged under today's rules."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from datetime import datetime
from typing import Any

import click

from app.cli.moments import Moment, check_range
from app.cli.running import with_servers
from app.errors import REJECT_CODES
from app.events.event import to_ms
from app.ingest.replay import Replay, Replayed, Wanted
from app.kafka.repeats import leave_out_repeats
from app.settings import Settings


@click.command(name="replay")
@click.option("--code", type=click.Choice(sorted(REJECT_CODES)), help="Only those of this code.")
@click.option("--from", "begin", type=Moment(), help="Rejected at this time or later; RFC 3339.")
@click.option("--to", "end", type=Moment(), help="Rejected before this time.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Set a field of each event; VALUE is JSON, else text. timestamp=null: when it arrived.",
)
@click.option("--dry-run", is_flag=True, help="Send nothing: say what would be sent.")
def command(
    code: str | None,
    begin: datetime | None,
    end: datetime | None,
    changes: tuple[str, ...],
    *,
    dry_run: bool,
) -> None:
    """Resend rejected records, each at most once.

    Sends the records of events-rejected that are valid by today's rules, or after --set. Records
    that are still invalid stay for another time. An event without a timestamp counts when it first
    arrived.
    """
    logging.basicConfig(level=logging.ERROR)
    leave_out_repeats()
    check_range(begin, end)
    fields = dict(map(field_of, changes))
    begin_ms, end_ms = (None if time is None else to_ms(time) for time in (begin, end))
    settings = with_servers(Settings.from_env(os.environ), "kafka")
    replay = Replay(settings, Wanted(code, begin_ms, end_ms, fields))
    try:
        asyncio.run(replay.run(dry=dry_run))
    finally:
        sent = "would be sent" if dry_run else "sent"
        for name, outcome in sorted(replay.outcomes.items()):
            click.echo(f"{name}: {said(outcome, sent)}")
        total = sum(outcome.sent for outcome in replay.outcomes.values())
        click.echo(f"{'would replay' if dry_run else 'replayed'} {total}")


def field_of(text: str) -> tuple[str, Any]:
    """Return (field, value) of FIELD=VALUE; raise BadParameter."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise click.BadParameter(f"{text!r} is not FIELD=VALUE", param_hint="--set")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def said(outcome: Replayed, sent: str) -> str:
    """Return what became of the records of a code, in words."""
    parts = [f"{outcome.sent} {sent}"]
    if still := sum(outcome.still.values()):
        codes = ", ".join(f"{code} {n}" for code, n in sorted(outcome.still.items()))
        parts.append(f"{still} still rejected ({codes})")
    if outcome.before:
        parts.append(f"{outcome.before} replayed before")
    return ", ".join(parts)
