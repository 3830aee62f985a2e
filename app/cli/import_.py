"""`event-counter import FILE...`: access logs or NDJSON into the topic events."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from app.cli.running import with_servers
from app.errors import KafkaUnavailableError, StartError
from app.events.url_rules import load
from app.ingest.following import Follower, LogPlaces
from app.ingest.importer import (
    LINE_MAX_BYTES,
    PARSERS,
    BackgroundCollector,
    Importer,
    looks_like,
    read_lines,
)
from app.kafka.repeats import leave_out_repeats
from app.settings import Settings
from app.text import printable

GZIP = b"\x1f\x8b"  # RFC 1952
SAID_MAX = 20  # rejected lines that are printed
CLEAR_LINE = "\r\x1b[K"
FILE = click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True, path_type=Path)


@click.command(name="import")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=click.Path(dir_okay=False, readable=True, allow_dash=True, path_type=Path),
)
@click.option(
    "--format",
    "line_format",
    type=click.Choice(list(PARSERS)),
    default="combined",
    show_default=True,
    help="combined: access log, combined or common format. ndjson: one event of any shape a line.",
)
@click.option(
    "--again",
    is_flag=True,
    help="Count lines that were imported before, too, and events with a known message_id.",
)
@click.option(
    "--follow",
    is_flag=True,
    help="Continue as the FILEs grow and are rotated, from where the last --follow ended. Ctrl-C "
    "or SIGTERM ends it.",
)
@click.option(
    "--log-name",
    default="",
    metavar="NAME",
    help="Distinguishes logs that begin with the same line, for example of two hosts.",
)
@click.pass_context
def command(
    ctx: click.Context,
    files: tuple[Path, ...],
    line_format: str,
    log_name: str,
    *,
    again: bool,
    follow: bool,
) -> None:
    """Count the lines of access logs or NDJSON, each once.

    FILE may be gzipped (.gz), or - for stdin. GET and HEAD lines are page views, other lines events
    named after the method, at the time in the log. A line that is imported again within the dedupe
    hours does not count again.
    """
    logging.basicConfig(level=logging.ERROR)
    leave_out_repeats()
    if follow:
        check_followed(files, again=again)
    else:
        for path in files:  # one that is followed may be missing for a moment
            FILE.convert(str(path), ctx.command.params[0], ctx)
    settings = with_servers(Settings.from_env(os.environ), "kafka")
    with BackgroundCollector(settings) as collector, told_at_the_end() as rejects:
        importer = Importer(
            *(collector.send, PARSERS[line_format], rejects.say, load(settings.url_rules)),
            log_name=log_name,
            again=again,
        )
        rejects.importer = importer
        if follow:
            follow_files(settings, importer, collector, name_logs(files, log_name))
            return
        read_files(importer, files, what_next(settings, again=again))
    if importer.rejected and not importer.imported:
        raise StartError(why_nothing(importer, line_format))
    found = looks_like(importer.samples) if importer.rejected > importer.imported else ""
    if found not in ("", line_format):
        click.echo(f"most lines look like {found}: see --format", err=True)


import_command = command


def read_files(importer: Importer, files: tuple[Path, ...], advice: str) -> None:
    """Read all files, with a bar on stderr where that is a terminal; raise StartError."""
    size = sum(path.stat().st_size for path in files if str(path) != "-")
    hidden = not (size and sys.stderr.isatty())
    with click.progressbar(length=size, label="import", hidden=hidden, file=sys.stderr) as bar:
        try:
            try:
                for path in files:
                    importer.read(path.name.removesuffix(".gz"), read_lines(path, bar.update))
            finally:
                importer.finish()
        except KafkaUnavailableError as exc:
            raise StartError(
                f"Kafka stopped taking events ({exc}); the first {importer.imported} good lines "
                f"are stored, of the next ones any may be. {advice}"
            ) from exc
        bar.update(size - bar.pos)


def check_followed(files: tuple[Path, ...], *, again: bool) -> None:
    """Raise UsageError for what cannot be followed."""
    if again:
        raise click.UsageError(
            "--follow continues where it stopped, so it cannot be used with --again"
        )
    for path in files:
        if str(path) == "-" or path.suffix == ".gz":
            raise click.UsageError(f"--follow needs the file that the server writes to, not {path}")
        if not path.parent.is_dir():
            raise click.UsageError(f"--follow: no such folder: {path.parent}")


def name_logs(files: tuple[Path, ...], log_name: str) -> dict[Path, str]:
    """Return under which name the places of each followed log are kept."""
    host = log_name or socket.gethostname()
    return {path: f"{host}:{path.absolute()}" for path in files}


def follow_files(
    settings: Settings, importer: Importer, collector: BackgroundCollector, names: dict[Path, str]
) -> None:
    """Follow until SIGINT or SIGTERM, then say how far it got."""
    if not settings.dedupe_hours:
        click.echo("EVENT_COUNTER_DEDUPE_HOURS is 0: a kill may count some lines twice", err=True)
    with LogPlaces(settings, collector.run) as places:
        follower = Follower(importer, places, names, lambda text: click.echo(text, err=True))
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: follower.stop())
        click.echo(f"following {', '.join(map(printable, names))}", err=True)
        follower.run()
    for log in follower.logs:
        if log.at is not None:
            click.echo(f"{printable(log.path)}: read to byte {log.at.offset}, line {log.at.lines}")


def what_next(settings: Settings, *, again: bool) -> str:
    """Return what to do about lines that may be stored."""
    if again or not settings.dedupe_hours:
        return "To import the same files again counts those twice"
    return "Import the same files again: what is stored counts once"


@contextlib.contextmanager
def told_at_the_end() -> Iterator[Rejects]:
    """Give what tells rejected lines; say at the end, whatever it is, what was imported."""
    rejects = Rejects()
    try:
        yield rejects
    finally:
        rejects.end()
        if (done := rejects.importer) is not None:
            click.echo(f"imported {done.imported}, rejected {done.rejected}")


class Rejects:
    """Prints why lines were rejected, the first ones; a wrong format would print a whole file."""

    def __init__(self) -> None:
        self.importer: Importer | None = None
        self._more = 0
        self._said = 0

    def say(self, text: str) -> None:
        """Print a line about a line, above the bar."""
        if self._said == SAID_MAX:
            self._more += 1
            return
        self._said += 1
        click.echo((CLEAR_LINE if sys.stderr.isatty() else "") + printable(text), err=True)

    def end(self) -> None:
        """Say how many more there were."""
        if self._more:
            click.echo(f"and {self._more:,} more rejected lines", err=True)


def why_nothing(importer: Importer, line_format: str) -> str:
    """Return what is wrong with files whose lines were all rejected."""
    advice = _advice(importer.samples)
    too_long = all(len(line) > LINE_MAX_BYTES for line in importer.samples)
    if importer.in_format or (too_long and not advice):
        return "No line is valid; the first reasons are above"
    return f"No line is in the format {line_format}{advice or '; see --format'}"


def _advice(samples: list[bytes]) -> str:
    """Return what to type for files with such lines; empty where nobody can tell."""
    if samples and samples[0].startswith(GZIP):
        return ". It is packed: its name must end with .gz"
    if found := looks_like(samples):
        return f". It looks like {found}: --format {found}"
    if samples and samples[0].lstrip().startswith(b"["):
        return ". It looks like a JSON array: give one object a line (jq -c '.[]'), --format ndjson"
    return ""
