"""`event-counter trace`: what became of one event, and where it is."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import aiohttp
import click
import msgspec

from app.archive.files import ArchivePart, Folders
from app.cli.running import with_servers
from app.errors import StartError, UnavailableError, reason
from app.settings import Settings
from app.text import printable
from web.http.views import OK
from web.http.worker_secret import WorkerSecret
from web.query.messages import Query, post_queries

SAYS = {
    "waiting": "is in Kafka and not counted yet",
    "counted": "is counted",
    "bot": "is left out of all counts: the bot rule",
    "duplicate": "is left out of all counts: its message_id was there before",
    "rejected": "is rejected",
}


@click.command(name="trace")
@click.argument("position")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def command(*, position: str, as_json: bool) -> None:
    """Show what became of one event.

    POSITION: P:O, its partition and offset in Kafka.
    """
    settings = with_servers(Settings.from_env(os.environ), "count_urls")
    found = asyncio.run(trace(settings, position))
    found["archived"] = archived(Folders.of(settings), settings, found)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
    else:
        click.echo(printable_lines(found))


async def trace(settings: Settings, position: str) -> dict[str, Any]:
    """Return the answer of a count worker; raise StartError for its refusal, UnavailableError."""
    problem = "no count worker is known"
    secret = WorkerSecret(settings.worker_secret.get_secret_value())
    query = Query("GET", f"/events/{position}")
    async with aiohttp.ClientSession() as session:
        for url in filter(None, settings.count_urls.split(",")):
            try:
                (answer,) = await post_queries(session, url, [query], secret)
            except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError) as exc:
                problem = f"{url}: {reason(exc)}"
                continue
            found: dict[str, Any] = msgspec.json.decode(answer.body)
            if answer.status == OK:
                return found
            problem = found["message"]
            if answer.status < UnavailableError.status:
                raise StartError(problem)
    raise UnavailableError(problem)


def archived(folders: Folders, settings: Settings, found: dict[str, Any]) -> str | None:
    """Return the parquet file of an app event in the archive of this machine, None without one."""
    event = found["event"] or {}
    if found["state"] not in {"counted", "bot"} or event.get("app_name") is None:
        return None
    partition, offset = map(int, found["position"].split(":"))
    date = event["timestamp"][: len("2026-11-28")]
    topic = f"{settings.namespace}events"
    for file in sorted((folders.archive / f"date={date}").glob("*.parquet")):
        part = ArchivePart.of(file.name)
        if part is None or (part.topic, part.partition) != (topic, partition):
            continue
        if part.first <= offset <= part.last:
            return str(file)
    return None


def printable_lines(found: dict[str, Any]) -> str:
    """Return the answer in words."""
    says = SAYS[found["state"]] + (f", {found['code']}" if found["code"] else "")
    lines = [f"{found['position']} {says}"]
    if found["event"] is not None:
        lines.append(f"event: {msgspec.json.encode(found['event']).decode()}")
    lines += [
        f"received: {found['received_at']}",
        f"in Postgres: {'yes' if found['stored'] else 'no'}",
        f"in the archive: {found['archived'] or 'no'}",
    ]
    for one in found["counted_in"]:
        start = "all time" if one["start"] is None else one["start"]
        words = [word for word in (one["key"], one["label"]) if word]
        lines.append(f"counted in {one['counter']}: {' '.join(words) or 'all'}, {start}")
    return "\n".join(map(printable, lines))
