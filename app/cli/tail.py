"""`event-counter tail`: the newest events, as they come."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing

import click

from app.cli.running import with_servers
from app.events.looked_at import LookedAt, looked_at, wanted_of
from app.kafka.clients import KafkaClients
from app.kafka.newest import Newest
from app.names import Names
from app.settings import Settings
from app.text import printable


@click.command(name="tail")
@click.option("--type", "type_", default="", help="Only events of this type.")
@click.option("--url", default="", help="Only events of this url.")
@click.option("--user-id", default="", help="Only events of this user.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line, for programs.")
def command(*, type_: str, url: str, user_id: str, as_json: bool) -> None:
    """Show events as they come, until Ctrl-C.

    If they come faster than a terminal can show them, some are skipped and counted.
    """
    settings = with_servers(Settings.from_env(os.environ), "kafka")
    wanted = wanted_of({"type": type_, "url": url, "user_id": user_id})
    asyncio.run(tail(settings, wanted, as_json=as_json))


async def tail(settings: Settings, wanted: dict[str, str], *, as_json: bool) -> None:
    """Print events; raise KafkaUnavailableError."""
    topic = Names(settings.namespace).events
    newest = Newest(KafkaClients.of(settings), topic, settings.events_partitions)
    async with aclosing(newest.read()) as batches:
        async for records, passed in batches:
            if passed:
                click.echo(f"{passed} events were left out", err=True)
            for record in records:
                found = looked_at(record)
                if found is not None and found.matches(wanted):
                    click.echo(found.as_json().decode() if as_json else line_of(found))


def line_of(found: LookedAt) -> str:
    """Return an event in one line for people."""
    event = found.event
    words = (event.type, event.url, event.user_id and f"user {event.user_id}", event.app_name)
    said = " ".join(word for word in words if word)
    return printable(f"{event.received_at:%H:%M:%S} {found.position} {said}")
