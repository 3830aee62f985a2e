"""`event-counter audit`: whether tables, event, event_summary and Redis say the same."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any

import click
import msgspec

from app.cli.moments import Moment, check_range
from app.cli.progress import ProgressLog
from app.cli.running import with_servers
from app.kafka.clients import KafkaClients
from app.kafka.counter_log import decided
from app.kafka.tables_version import current_version
from app.kafka.watermarks import Watermarks
from app.names import Names
from app.reconcile.audit import Audit
from app.reconcile.differences import Difference
from app.settings import Settings
from app.text import printable
from web.query.table_rows import table_rows

PLACES = ("counter", "key", "start", "url", "hour", "partition")
SIDES = ("kafka", "postgres", "redis", "count_urls")
MISSING = (
    "event lacks {} of the rows that were stored, as where a month was detached: attach it. Until "
    "then rebuild lowers nothing\n"
)
NOT_ASCII = re.compile(r"[^ -~]")

_encode = msgspec.json.Encoder(decimal_format="number").encode  # sums, exactly


@click.command(name="audit")
@click.option("--from", "begin", type=Moment(), help="First hour of event time; RFC 3339.")
@click.option("--to", "end", type=Moment(), help="Event time up to which hours are compared.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def command(begin: datetime | None, end: datetime | None, *, as_json: bool) -> None:
    """Compare tables, event, event_summary and Redis, hour by hour.

    Exits with 1 if they differ.

    It waits until all of them have read what is in Kafka now. With --from or --to only hours are
    compared: Redis and the counts by type are of all time.
    """
    check_range(begin, end)
    settings = with_servers(Settings.from_env(os.environ), *SIDES)
    printer = JsonPrinter() if as_json else Printer()
    with ProgressLog() as progress:
        found = asyncio.run(audit(settings, begin, end, printer, progress))
    printer.end(found)
    sys.exit(1 if found["differing"] else 0)


async def audit(
    settings: Settings,
    begin: datetime | None,
    end: datetime | None,
    printer: Printer,
    progress: ProgressLog,
) -> dict[str, Any]:
    """Print the differences; return what was compared."""
    async with AsyncExitStack() as stack:
        kafka = await stack.enter_async_context(Watermarks(KafkaClients.of(settings)))
        version = await current_version(settings)
        partitions = len(await kafka.ends(Names(settings.namespace, version).counts))
        reader = table_rows(settings, partitions)
        tables = await stack.enter_async_context(reader)

        def report(difference: Difference) -> None:
            progress.clear()
            printer.difference(difference)

        work = Audit(
            settings, tables, kafka, progress.say, lambda: decided(settings), version=version
        )
        return await work.run(begin, end, report)


def write_text(text: str) -> None:
    """Print text as it is."""
    click.echo(text, nl=False)


def as_line(text: str) -> str:
    """Return a line of text; urls and types come from strangers, and stay out of the terminal."""
    return f"{printable(text)}\n"


class Printer:
    """Lines for people."""

    def __init__(self, write: Callable[[str], object] = write_text) -> None:
        self._write = write

    def difference(self, found: Difference) -> None:
        """Print one."""
        where = " ".join(str(found[name]) for name in PLACES if found.get(name, "") != "")
        where += f" [{found['label']}]" if found.get("label") else ""
        what = {"counted": "counted, all time", "bots": "left out as bots, all time"}
        place = " ".join(filter(None, [where, found.get("type", ""), what.get(found["what"], "")]))
        sides = (
            "received",
            "event",
            "rejected",
            "sink_offsets",
            "tables",
            "event_summary",
            "redis",
        )
        says = ", ".join(f"{side} {_text(found[side])}" for side in sides if side in found)
        self._write(as_line(f"{place}: {says}"))

    def end(self, found: dict[str, Any]) -> None:
        """Print what was compared."""
        count = found["differing"]
        result = "no difference" if not count else f"{count} difference{'s' if count > 1 else ''}"
        sides = "tables, event, event_summary and Redis" if found["whole"] else "hours"
        span = f" from {found['from']}" * bool(found["from"]) + f" to {found['to']}" * bool(
            found["to"]
        )
        self._write(
            f"{result}: compared {sides}{span}, {found['events']} events in "
            f"{found['hours']} hourly counts of {found['urls']} urls\n"
        )
        offsets = ", ".join(f"{part} {offset}" for part, offset in found["offsets"].items())
        self._write(f"up to {found['compared_to']}: {offsets}\n")
        for part, count in found["lost"].items():
            self._write(f"{part}: Kafka lost {count} offsets before they were stored\n")
        if (missing := found["missing"] or 0) > 0:
            self._write(MISSING.format(missing))
        if rows := found["forgotten"]["rows"]:
            users = found["forgotten"]["users"]
            whose = f"{users} users" if users > 1 else "1 user"
            self._write(f"{rows} rows of {whose} were forgotten, and still count\n")
        months = found["forgotten_months"]
        if before := months["before"]:
            self._write(
                f"compared from {before} on by its events, before by what they added up to; "
                f"{months['rows']} rows forgotten\n"
            )


class JsonPrinter(Printer):
    """One JSON object; the differences first, each as it is found."""

    def __init__(self, write: Callable[[str], object] = write_text) -> None:
        super().__init__(write)
        self._separator = '{"differences":['

    def difference(self, found: Difference) -> None:
        """Print one."""
        self._write(self._separator + _json(found))
        self._separator = ","

    def end(self, found: dict[str, Any]) -> None:
        """Print what was compared."""
        begin = self._separator if self._separator != "," else ""
        self._write(f"{begin}],{json.dumps(found)[1:]}\n")


def _json(found: Difference) -> str:
    """Return JSON in which a terminal finds no command: C1 and marks of direction are escaped."""
    text = _encode(found).decode()
    return text if printable(text) == text else NOT_ASCII.sub(_escaped, text)


def _escaped(character: re.Match[str]) -> str:
    return json.dumps(character[0])[1:-1].replace("\x7f", "\\u007f")


def _text(said: object) -> str:
    if said is None:
        return "not kept"
    return f"{said[0]} to {said[1]}" if isinstance(said, list) else str(said)
